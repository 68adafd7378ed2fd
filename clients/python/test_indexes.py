"""Local and global secondary indexes, made with the table and online."""

import time

import pytest
from botocore.exceptions import ClientError

from conftest import make_table


def gsi(name, keys, projection="ALL", **include):
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": a, "KeyType": t} for a, t in keys],
        "Projection": {"ProjectionType": projection, **include},
    }


def wait_for_index(dynamodb, table, index):
    deadline = time.monotonic() + 60
    while True:
        found = dynamodb.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes", [])
        status = {i["IndexName"]: i["IndexStatus"] for i in found}.get(index)
        if status in (None, "ACTIVE"):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def keys_of(answer):
    return sorted(item["pk"]["S"] for item in answer["Items"])


def test_a_sparse_global_index_follows_its_table(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S")], [("team", "S")],
               GlobalSecondaryIndexes=[gsi("by-team", [("team", "HASH")], "KEYS_ONLY")])
    query = dict(TableName=name, IndexName="by-team", KeyConditionExpression="team = :t",
                 ExpressionAttributeValues={":t": {"S": "red"}})
    for pk, team in [("a", "red"), ("b", "blue"), ("c", None), ("d", "red")]:
        item = {"pk": {"S": pk}, "other": {"S": "x"}}
        if team:
            item["team"] = {"S": team}
        dynamodb.put_item(TableName=name, Item=item)
    answer = dynamodb.query(**query)
    assert keys_of(answer) == ["a", "d"]
    assert all(set(item) == {"pk", "team"} for item in answer["Items"])
    dynamodb.update_item(TableName=name, Key={"pk": {"S": "a"}}, UpdateExpression="REMOVE team")
    dynamodb.update_item(TableName=name, Key={"pk": {"S": "c"}}, UpdateExpression="SET team = :t",
                         ExpressionAttributeValues={":t": {"S": "red"}})
    dynamodb.delete_item(TableName=name, Key={"pk": {"S": "d"}})
    assert keys_of(dynamodb.query(**query)) == ["c"]
    with pytest.raises(ClientError) as info:
        dynamodb.query(**query, ConsistentRead=True)
    assert info.value.response["Error"]["Message"] == "Consistent reads are not supported on global secondary indexes"
    dynamodb.delete_table(TableName=name)


def test_index_writes_are_billed(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S")], [("g", "S")], GlobalSecondaryIndexes=[gsi("by-g", [("g", "HASH")], "KEYS_ONLY")])
    put = lambda **item: dynamodb.put_item(TableName=name, Item={"pk": {"S": "a"}, **item}, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert put()["CapacityUnits"] == 1.0
    assert put(g={"S": "1"})["GlobalSecondaryIndexes"] == {"by-g": {"CapacityUnits": 1.0}}
    assert "GlobalSecondaryIndexes" not in put(g={"S": "1"}, other={"S": "not projected"})
    moved = put(g={"S": "2"})
    assert (moved["CapacityUnits"], moved["GlobalSecondaryIndexes"]["by-g"]["CapacityUnits"]) == (3.0, 2.0)
    dynamodb.delete_table(TableName=name)


def test_a_local_index_orders_and_fetches(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S"), ("sk", "N")], [("age", "N")],
               LocalSecondaryIndexes=[gsi("by-age", [("pk", "HASH"), ("age", "RANGE")], "INCLUDE", NonKeyAttributes=["nick"])])
    for i, age in enumerate([30, 10, 20]):
        answer = dynamodb.put_item(
            TableName=name, ReturnItemCollectionMetrics="SIZE",
            Item={"pk": {"S": "p"}, "sk": {"N": str(i)}, "age": {"N": str(age)}, "nick": {"S": "n"}, "far": {"S": "f"}})
        assert answer["ItemCollectionMetrics"] == {"ItemCollectionKey": {"pk": {"S": "p"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    query = dict(TableName=name, IndexName="by-age", KeyConditionExpression="pk = :p",
                 ExpressionAttributeValues={":p": {"S": "p"}}, ConsistentRead=True)
    items = dynamodb.query(**query)["Items"]
    assert [item["age"]["N"] for item in items] == ["10", "20", "30"]
    assert all("far" not in item and "nick" in item for item in items)
    assert all("far" in item for item in dynamodb.query(**query, Select="ALL_ATTRIBUTES")["Items"])
    dynamodb.delete_table(TableName=name)


def test_a_page_that_fetches_from_the_table_ends_at_a_megabyte_of_what_it_fetches(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S"), ("sk", "N")], [("age", "N")],
               LocalSecondaryIndexes=[gsi("by-age", [("pk", "HASH"), ("age", "RANGE")], "KEYS_ONLY")])
    for i in range(10):
        dynamodb.put_item(TableName=name, Item={
            "pk": {"S": "p"}, "sk": {"N": str(i)}, "age": {"N": str(-i)}, "far": {"S": "x" * 300_000}})
    query = dict(TableName=name, IndexName="by-age", KeyConditionExpression="pk = :p",
                 ExpressionAttributeValues={":p": {"S": "p"}})
    scan = dict(TableName=name, IndexName="by-age")
    everything, far = {"Select": "ALL_ATTRIBUTES"}, {"ProjectionExpression": "far"}
    for operation, request in [("query", query | everything), ("query", query | far), ("scan", scan | everything)]:
        pages = list(dynamodb.get_paginator(operation).paginate(**request, ReturnConsumedCapacity="INDEXES"))
        assert [page["ScannedCount"] for page in pages] == [4, 4, 2]
        assert all(len(item["far"]["S"]) == 300_000 for page in pages for item in page["Items"])
        # An item is 74 read units long, by itself.
        assert [page["ConsumedCapacity"]["Table"]["CapacityUnits"] for page in pages] == [148, 148, 74]
        assert [page["ConsumedCapacity"]["LocalSecondaryIndexes"]["by-age"]["CapacityUnits"] for page in pages] == [0.5] * 3
    statement = dict(Statement=f'SELECT far FROM "{name}"."by-age" WHERE pk = \'p\'')
    counts = []
    while True:
        page = dynamodb.execute_statement(**statement)
        counts.append(len(page["Items"]))
        if "NextToken" not in page:
            break
        statement["NextToken"] = page["NextToken"]
    assert counts == [4, 4, 2]
    # What the index holds needs no second page.
    assert dynamodb.query(**query)["Count"] == 10
    dynamodb.delete_table(TableName=name)


def test_a_global_index_is_added_and_deleted_online(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S")])
    for start in range(0, 500, 25):
        dynamodb.batch_write_item(RequestItems={name: [
            {"PutRequest": {"Item": {"pk": {"S": f"{i:04}"}, "group": {"N": str(i % 5)}}}} for i in range(start, start + 25)]})
    dynamodb.update_table(
        TableName=name, AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "group", "AttributeType": "N"}],
        GlobalSecondaryIndexUpdates=[{"Create": gsi("by-group", [("group", "HASH"), ("pk", "RANGE")])}])
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "late"}, "group": {"N": "3"}})
    assert wait_for_index(dynamodb, name, "by-group") == "ACTIVE"
    answer = dynamodb.query(TableName=name, IndexName="by-group", KeyConditionExpression="#g = :g",
                            ExpressionAttributeNames={"#g": "group"}, ExpressionAttributeValues={":g": {"N": "3"}})
    assert keys_of(answer) == sorted([f"{i:04}" for i in range(3, 500, 5)] + ["late"])
    dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-group"}}])
    assert wait_for_index(dynamodb, name, "by-group") is None
    dynamodb.delete_table(TableName=name)


def test_an_index_with_several_key_attributes(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S")], [("country", "S"), ("city", "S"), ("year", "N"), ("day", "N")],
               GlobalSecondaryIndexes=[gsi("where-when", [("country", "HASH"), ("city", "HASH"), ("year", "RANGE"), ("day", "RANGE")])])
    for i in range(40):
        dynamodb.put_item(TableName=name, Item={
            "pk": {"S": f"{i:02}"}, "country": {"S": "be"}, "city": {"S": ["liege", "ghent"][i % 2]},
            "year": {"N": str(2000 + i // 20)}, "day": {"N": str(i % 20)}})
    query = lambda condition, **values: keys_of(dynamodb.query(
        TableName=name, IndexName="where-when", KeyConditionExpression=condition, ExpressionAttributeNames={"#y": "year", "#d": "day"},
        ExpressionAttributeValues={f":{k}": v for k, v in values.items()}))
    where = dict(c={"S": "be"}, t={"S": "liege"})
    assert query("country = :c AND city = :t AND #y = :y AND #d < :d", **where, y={"N": "2001"}, d={"N": "5"}) == ["20", "22", "24"]
    with pytest.raises(ClientError):
        query("country = :c AND #y = :y AND #d = :d", c={"S": "be"}, y={"N": "2000"}, d={"N": "1"})
    dynamodb.delete_table(TableName=name)


@pytest.mark.parametrize("expression, is_told_by_the_request", [
    ("SET g = :n", True),
    ("SET g = pk + :n", True),
    ("SET q = g[1], g = pk + :n", True),
    ("SET q = :n ADD g :n", True),
    ("SET g = n", False),
    ("SET g = if_not_exists(absent, :n)", False),
])
def test_an_update_gives_no_index_key_another_type(dynamodb, name, expression, is_told_by_the_request):
    make_table(dynamodb, name, [("pk", "S")], [("g", "S")], GlobalSecondaryIndexes=[gsi("by-g", [("g", "HASH")])])
    item = {"pk": {"S": "a"}, "g": {"S": "x"}, "n": {"N": "1"}}
    dynamodb.put_item(TableName=name, Item=item)
    values = {"ExpressionAttributeValues": {":n": {"N": "1"}}} if ":n" in expression else {}
    with pytest.raises(ClientError) as info:
        dynamodb.update_item(TableName=name, Key={"pk": {"S": "a"}}, UpdateExpression=expression, **values)
    assert info.value.response["Error"]["Message"] == (
        "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: by-g"
        if is_told_by_the_request else
        "The update expression attempted to update the secondary index key to unsupported type")
    assert dynamodb.get_item(TableName=name, Key={"pk": {"S": "a"}})["Item"] == item
    dynamodb.delete_table(TableName=name)
