// The AWS SDK for Go v2: waiters, paginators, typed errors, attribute values.
package zenobe

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const table = "go-scores"

func client(t *testing.T) *dynamodb.Client {
	t.Helper()
	configuration, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return dynamodb.NewFromConfig(configuration)
}

func key(player string, level int) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{
		"player": &types.AttributeValueMemberS{Value: player},
		"level":  &types.AttributeValueMemberN{Value: fmt.Sprint(level)},
	}
}

func TestTheLifeOfATable(t *testing.T) {
	ctx, db := context.Background(), client(t)
	_, err := db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("player"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("level"), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("player"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("level"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	named := &dynamodb.DescribeTableInput{TableName: aws.String(table)}
	quick := func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }
	if err := dynamodb.NewTableExistsWaiter(db, quick).Wait(ctx, named, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	t.Run("items", func(t *testing.T) { items(t, ctx, db) })
	t.Run("errors", func(t *testing.T) { typedErrors(t, ctx, db) })
	t.Run("pages", func(t *testing.T) { pages(t, ctx, db) })
	if _, err := db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String(table)}); err != nil {
		t.Fatal(err)
	}
	gone := func(o *dynamodb.TableNotExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }
	if err := dynamodb.NewTableNotExistsWaiter(db, gone).Wait(ctx, named, 20*time.Second); err != nil {
		t.Fatal(err)
	}
}

func items(t *testing.T, ctx context.Context, db *dynamodb.Client) {
	answer, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(table), Key: key("ann", 1), UpdateExpression: aws.String("ADD score :s"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":s": &types.AttributeValueMemberN{Value: "7"}},
		ReturnValues:              types.ReturnValueUpdatedNew,
	})
	if err != nil {
		t.Fatal(err)
	}
	if score := answer.Attributes["score"].(*types.AttributeValueMemberN).Value; score != "7" {
		t.Fatalf("score is %s", score)
	}
	found, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: key("ann", 1), ConsistentRead: aws.Bool(true)})
	if err != nil || len(found.Item) != 3 {
		t.Fatalf("%v %v", found, err)
	}
}

func typedErrors(t *testing.T, ctx context.Context, db *dynamodb.Client) {
	_, err := db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(table), Item: key("ann", 1), ConditionExpression: aws.String("attribute_not_exists(player)"),
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		t.Fatalf("%v", err)
	}
	_, err = db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("no-such-table")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		t.Fatalf("%v", err)
	}
}

func pages(t *testing.T, ctx context.Context, db *dynamodb.Client) {
	for level := 0; level < 30; level++ {
		if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: key("bob", level)}); err != nil {
			t.Fatal(err)
		}
	}
	paginator := dynamodb.NewQueryPaginator(db, &dynamodb.QueryInput{
		TableName: aws.String(table), KeyConditionExpression: aws.String("player = :p"), Limit: aws.Int32(7),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": &types.AttributeValueMemberS{Value: "bob"}},
	})
	next := 0
	for paginator.HasMorePages() {
		page, err := paginator.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			if level := item["level"].(*types.AttributeValueMemberN).Value; level != fmt.Sprint(next) {
				t.Fatalf("level %s after %d", level, next-1)
			}
			next++
		}
	}
	if next != 30 {
		t.Fatalf("%d items", next)
	}
}
