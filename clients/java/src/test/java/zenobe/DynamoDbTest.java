package zenobe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.*;

/** The AWS SDK for Java v2: waiters, paginators, typed exceptions, checksums of answers. */
class DynamoDbTest {
  static final String TABLE = "java-orders";
  static final DynamoDbClient db =
      DynamoDbClient.builder()
          .endpointOverride(URI.create(System.getenv("ZENOBE_ENDPOINT")))
          .region(Region.US_EAST_1)
          .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
          .build();

  static AttributeValue s(String value) {
    return AttributeValue.fromS(value);
  }

  static AttributeValue n(int value) {
    return AttributeValue.fromN(Integer.toString(value));
  }

  static Map<String, AttributeValue> key(String customer, int order) {
    return Map.of("customer", s(customer), "order", n(order));
  }

  @BeforeAll
  static void makeTable() {
    db.createTable(
        b ->
            b.tableName(TABLE)
                .billingMode(BillingMode.PAY_PER_REQUEST)
                .attributeDefinitions(
                    AttributeDefinition.builder().attributeName("customer").attributeType("S").build(),
                    AttributeDefinition.builder().attributeName("order").attributeType("N").build())
                .keySchema(
                    KeySchemaElement.builder().attributeName("customer").keyType(KeyType.HASH).build(),
                    KeySchemaElement.builder().attributeName("order").keyType(KeyType.RANGE).build()));
    db.waiter().waitUntilTableExists(b -> b.tableName(TABLE));
  }

  @AfterAll
  static void deleteTable() {
    db.deleteTable(b -> b.tableName(TABLE));
    db.waiter().waitUntilTableNotExists(b -> b.tableName(TABLE));
  }

  @Test
  void anItemComesBackAsItWent() {
    var item =
        Map.of(
            "customer", s("ann"), "order", n(1), "lines",
            AttributeValue.fromL(List.of(AttributeValue.fromM(Map.of("sku", s("x"), "price", AttributeValue.fromN("9.99"))))));
    db.putItem(b -> b.tableName(TABLE).item(item));
    assertEquals(item, db.getItem(b -> b.tableName(TABLE).key(key("ann", 1)).consistentRead(true)).item());
  }

  @Test
  void exceptionsAreTyped() {
    db.putItem(b -> b.tableName(TABLE).item(key("bob", 1)));
    var failed =
        assertThrows(
            ConditionalCheckFailedException.class,
            () ->
                db.putItem(
                    b ->
                        b.tableName(TABLE)
                            .item(key("bob", 1))
                            .conditionExpression("attribute_not_exists(customer)")
                            .returnValuesOnConditionCheckFailure("ALL_OLD")));
    assertEquals(key("bob", 1), failed.item());
    assertThrows(ResourceNotFoundException.class, () -> db.describeTable(b -> b.tableName("no-such-table")));
    var invalid =
        assertThrows(DynamoDbException.class, () -> db.getItem(b -> b.tableName(TABLE).key(Map.of("customer", s("x")))));
    assertEquals("ValidationException", invalid.awsErrorDetails().errorCode());
    assertEquals("The provided key element does not match the schema", invalid.awsErrorDetails().errorMessage());
    assertTrue(invalid.requestId().length() > 10);
  }

  @Test
  void paginatorsSeeEveryItemOnce() {
    for (int start = 0; start < 50; start += 25) {
      var writes =
          IntStream.range(start, start + 25)
              .mapToObj(i -> WriteRequest.builder().putRequest(p -> p.item(key("many", i))).build())
              .toList();
      assertTrue(db.batchWriteItem(b -> b.requestItems(Map.of(TABLE, writes))).unprocessedItems().isEmpty());
    }
    var orders =
        db
            .queryPaginator(
                b ->
                    b.tableName(TABLE)
                        .limit(7)
                        .keyConditionExpression("customer = :c")
                        .expressionAttributeValues(Map.of(":c", s("many"))))
            .items()
            .stream()
            .map(item -> Integer.parseInt(item.get("order").n()))
            .toList();
    assertEquals(IntStream.range(0, 50).boxed().toList(), orders);
  }
}
