// The AWS SDK for JavaScript v3: clients, document client, waiters, paginators, typed errors, CRC32.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BatchExecuteStatementCommand, BatchWriteItemCommand, ConditionalCheckFailedException, CreateTableCommand,
  DeleteTableCommand, DescribeTimeToLiveCommand, DuplicateItemException, DynamoDBClient, ExecuteStatementCommand,
  IdempotentParameterMismatchException, PutItemCommand, ResourceNotFoundException, TransactionCanceledException,
  UpdateTimeToLiveCommand, paginateScan, waitUntilTableExists, waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand,
  ResourceNotFoundException as StreamNotFoundException,
} from "@aws-sdk/client-dynamodb-streams";
import {
  DynamoDBDocumentClient, ExecuteStatementCommand as DocumentStatementCommand, ExecuteTransactionCommand, GetCommand,
  PutCommand, QueryCommand, TransactGetCommand, TransactWriteCommand, UpdateCommand,
} from "@aws-sdk/lib-dynamodb";

const client = new DynamoDBClient({ endpoint: process.env.ZENOBE_ENDPOINT });
const documents = DynamoDBDocumentClient.from(client);
const TableName = "js-carts";

before(async () => {
  await client.send(new CreateTableCommand({
    TableName, BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "cart", AttributeType: "S" }, { AttributeName: "line", AttributeType: "N" }],
    KeySchema: [{ AttributeName: "cart", KeyType: "HASH" }, { AttributeName: "line", KeyType: "RANGE" }],
  }));
  await waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
});

after(async () => {
  await client.send(new DeleteTableCommand({ TableName }));
  await waitUntilTableNotExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName });
});

test("documents come back as they went", async () => {
  const Item = { cart: "a", line: 1, price: 12.5, tags: ["x", "y"], nested: { deep: [null, true, { n: -1 }] }, raw: new Uint8Array([0, 255]) };
  await documents.send(new PutCommand({ TableName, Item }));
  const found = await documents.send(new GetCommand({ TableName, Key: { cart: "a", line: 1 }, ConsistentRead: true }));
  assert.deepEqual({ ...found.Item, raw: [...found.Item.raw] }, { ...Item, raw: [0, 255] });
});

test("updates answer what was asked for", async () => {
  const answer = await documents.send(new UpdateCommand({
    TableName, Key: { cart: "a", line: 2 }, UpdateExpression: "ADD quantity :two SET sku = :sku",
    ExpressionAttributeValues: { ":two": 2, ":sku": "s-1" }, ReturnValues: "ALL_NEW",
  }));
  assert.deepEqual(answer.Attributes, { cart: "a", line: 2, quantity: 2, sku: "s-1" });
});

test("errors are typed", async () => {
  await client.send(new PutItemCommand({ TableName, Item: { cart: { S: "e" }, line: { N: "1" } } }));
  await assert.rejects(
    client.send(new PutItemCommand({
      TableName, Item: { cart: { S: "e" }, line: { N: "1" } }, ConditionExpression: "attribute_not_exists(cart)",
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    })),
    (error) => error instanceof ConditionalCheckFailedException && error.Item.cart.S === "e");
  await assert.rejects(documents.send(new GetCommand({ TableName: "no-such-table", Key: { a: "b" } })), ResourceNotFoundException);
});

test("batches, queries and paginators", async () => {
  for (let start = 0; start < 100; start += 25) {
    const RequestItems = { [TableName]: [] };
    for (let line = start; line < start + 25; line++) {
      RequestItems[TableName].push({ PutRequest: { Item: { cart: { S: "many" }, line: { N: String(line) } } } });
    }
    const { UnprocessedItems } = await client.send(new BatchWriteItemCommand({ RequestItems }));
    assert.deepEqual(UnprocessedItems, {});
  }
  const page = await documents.send(new QueryCommand({
    TableName, KeyConditionExpression: "cart = :c AND line BETWEEN :a AND :b", ScanIndexForward: false,
    ExpressionAttributeValues: { ":c": "many", ":a": 10, ":b": 12 },
  }));
  assert.deepEqual(page.Items.map((item) => item.line), [12, 11, 10]);
  let count = 0;
  for await (const page of paginateScan({ client, pageSize: 7 }, { TableName, FilterExpression: "cart = :c", ExpressionAttributeValues: { ":c": { S: "many" } } })) {
    count += page.Count;
  }
  assert.equal(count, 100);
});

test("expired items go", { timeout: 30_000 }, async () => {
  const until = async (holds) => {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  const now = Math.floor(Date.now() / 1000);
  const put = (line, expires) => documents.send(new PutCommand({ TableName, Item: { cart: "ttl", line, expires } }));
  const there = async (line) => (await documents.send(new GetCommand({ TableName, Key: { cart: "ttl", line } }))).Item !== undefined;
  await put(1, now - 5);
  await put(2, now + 3600);
  const TimeToLiveSpecification = { Enabled: true, AttributeName: "expires" };
  const answer = await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
  assert.deepEqual(answer.TimeToLiveSpecification, TimeToLiveSpecification);
  await until(async () => {
    const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
    assert.equal(TimeToLiveDescription.AttributeName, "expires");
    return TimeToLiveDescription.TimeToLiveStatus === "ENABLED";
  });
  await put(3, now - 5.5);
  await until(async () => !(await there(1)) && !(await there(3)));
  assert(await there(2));
  await assert.rejects(
    client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification })),
    (error) => error.name === "ValidationException" && error.message === "TimeToLive is already enabled");
});

test("streams are read shard by shard", async () => {
  const streams = new DynamoDBStreamsClient({ endpoint: process.env.ZENOBE_ENDPOINT });
  const streamed = "js-streamed";
  const { TableDescription } = await client.send(new CreateTableCommand({
    TableName: streamed, BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }], KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
  }));
  const StreamArn = TableDescription.LatestStreamArn;
  for (let n = 0; n < 20; n++) {
    await documents.send(new PutCommand({ TableName: streamed, Item: { id: `i${n}`, n } }));
  }
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
  const seen = [];
  for (const { ShardId } of StreamDescription.Shards) {
    let { ShardIterator } = await streams.send(new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" }));
    for (let empty = false; !empty;) {
      const page = await streams.send(new GetRecordsCommand({ ShardIterator, Limit: 3 }));
      empty = page.Records.length === 0;
      ShardIterator = page.NextShardIterator;
      for (const { eventName, dynamodb } of page.Records) {
        assert.equal(eventName, "INSERT");
        assert.ok(dynamodb.ApproximateCreationDateTime instanceof Date);
        seen.push(Number(dynamodb.NewImage.n.N));
      }
    }
  }
  assert.deepEqual(seen.sort((a, b) => a - b), [...Array(20).keys()]);
  await assert.rejects(
    streams.send(new DescribeStreamCommand({ StreamArn: `${StreamArn}0` })), StreamNotFoundException);
  await client.send(new DeleteTableCommand({ TableName: streamed }));
});

test("transactions are all or nothing, typed, and happen once per token", async () => {
  const item = (line, more) => ({ TableName, Item: { cart: "t", line, ...more } });
  const request = {
    TransactItems: [
      { Put: item(1, { price: 5 }) },
      { Update: { TableName, Key: { cart: "t", line: 2 }, UpdateExpression: "ADD quantity :one", ExpressionAttributeValues: { ":one": 1 } } },
      { ConditionCheck: { TableName, Key: { cart: "t", line: 9 }, ConditionExpression: "attribute_not_exists(cart)" } },
    ],
    ClientRequestToken: "js-token", ReturnConsumedCapacity: "TOTAL",
  };
  const first = await documents.send(new TransactWriteCommand(request));
  const again = await documents.send(new TransactWriteCommand(request));
  assert.deepEqual(first.ConsumedCapacity, [{ TableName, CapacityUnits: 6, WriteCapacityUnits: 6 }]);
  assert.deepEqual(again.ConsumedCapacity, [{ TableName, CapacityUnits: 6, ReadCapacityUnits: 6 }]);
  const Get = (line) => ({ Get: { TableName, Key: { cart: "t", line } } });
  const read = await documents.send(new TransactGetCommand({ TransactItems: [Get(1), Get(2), Get(9)] }));
  assert.deepEqual(read.Responses.map(({ Item }) => Item), [{ cart: "t", line: 1, price: 5 }, { cart: "t", line: 2, quantity: 1 }, undefined]);
  await assert.rejects(
    documents.send(new TransactWriteCommand({ ...request, TransactItems: request.TransactItems.slice(1) })),
    IdempotentParameterMismatchException);
  await assert.rejects(
    documents.send(new TransactWriteCommand({
      TransactItems: [
        { Delete: { TableName, Key: { cart: "t", line: 2 } } },
        { Put: { ...item(1), ConditionExpression: "price > :most", ExpressionAttributeValues: { ":most": 5 }, ReturnValuesOnConditionCheckFailure: "ALL_OLD" } },
      ],
    })),
    (error) => {
      assert(error instanceof TransactionCanceledException);
      assert.equal(error.message, "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]");
      assert.deepEqual(error.CancellationReasons.map(({ Code }) => Code), ["None", "ConditionalCheckFailed"]);
      assert.deepEqual(error.CancellationReasons[1].Item, { cart: { S: "t" }, line: { N: "1" }, price: { N: "5" } });
      return true;
    });
  const many = (count) => ({ TransactItems: [...Array(count).keys()].map((n) => ({ Put: item(n, {}) })) });
  await documents.send(new TransactWriteCommand(many(100)));
  await assert.rejects(documents.send(new TransactWriteCommand(many(101))), /less than or equal to 100/);
});

test("PartiQL statements, plain and as documents", async () => {
  const insert = `INSERT INTO "${TableName}" VALUE {'cart': 'sql', 'line': ?, 'tags': ?}`;
  await client.send(new ExecuteStatementCommand({ Statement: insert, Parameters: [{ N: "1" }, { SS: ["x"] }] }));
  await assert.rejects(
    client.send(new ExecuteStatementCommand({ Statement: insert, Parameters: [{ N: "1" }, { SS: ["x"] }] })), DuplicateItemException);
  for (const line of [2, 3, 4]) {
    await documents.send(new DocumentStatementCommand({ Statement: insert, Parameters: [line, new Set(["y"])] }));
  }
  const Statement = `SELECT line FROM "${TableName}" WHERE cart = ? ORDER BY line DESC`;
  const lines = [];
  for (let NextToken; ;) {
    const page = await documents.send(new DocumentStatementCommand({ Statement, Parameters: ["sql"], Limit: 3, NextToken }));
    lines.push(...page.Items.map(({ line }) => line));
    NextToken = page.NextToken;
    if (!NextToken) break;
  }
  assert.deepEqual(lines, [4, 3, 2, 1]);
  const { Responses } = await client.send(new BatchExecuteStatementCommand({
    Statements: [
      { Statement: `UPDATE "${TableName}" SET tags = set_add(tags, <<'z'>>) WHERE cart = 'sql' AND line = 2 RETURNING ALL NEW *` },
      { Statement: `UPDATE "${TableName}" SET tags = 1 WHERE cart = 'sql' AND line = 99` },
    ],
  }));
  assert.deepEqual(Responses[0].Item.tags.SS.sort(), ["y", "z"]);
  assert.equal(Responses[1].Error.Code, "ConditionalCheckFailed");
  await documents.send(new ExecuteTransactionCommand({
    TransactStatements: [1, 2, 3, 4].map((line) => ({
      Statement: `DELETE FROM "${TableName}" WHERE cart = ? AND line = ?`, Parameters: ["sql", line],
    })),
  }));
  assert.deepEqual((await documents.send(new DocumentStatementCommand({ Statement, Parameters: ["sql"] }))).Items, []);
});
