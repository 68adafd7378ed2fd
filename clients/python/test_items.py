"""Items: every write and read, with conditions, return values and capacity."""

from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from conftest import make_table


def test_the_classic_first_table(resource, dynamodb, name):
    make_table(dynamodb, name, [("Id", "N")])
    table = resource.Table(name)
    rows = [
        {"Id": 1, "name": "amit", "course": "cloud"},
        {"Id": 2, "qualification": "BE", "Country": "India"},
        {"Id": 3, "name": "andy", "timing": "morning"},
        {"Id": 4, "name": "lucee", "age": 22},
    ]
    for row in rows:
        table.put_item(Item=row)
    assert [table.get_item(Key={"Id": i})["Item"] for i in range(1, 5)] == rows
    assert sorted(table.scan()["Items"], key=lambda row: row["Id"]) == rows
    named = table.scan(FilterExpression=Attr("name").exists())
    assert (named["Count"], named["ScannedCount"]) == (3, 4)
    table.delete()


def test_every_type_comes_back_as_it_went(dynamodb, table):
    item = {
        "pk": {"S": "types"}, "sk": {"N": "1"}, "s": {"S": "é\u0000\"\\\n𝄞"}, "empty": {"S": ""},
        "n": {"N": "-1.5"}, "b": {"B": b"\x00\xff"}, "bool": {"BOOL": False}, "null": {"NULL": True},
        "l": {"L": [{"N": "1"}, {"L": []}, {"M": {}}]}, "m": {"M": {"x": {"M": {"y": {"S": "z"}}}}},
        "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["2", "1"]}, "bs": {"BS": [b"2", b"1"]},
    }
    dynamodb.put_item(TableName=table, Item=item)
    found = dynamodb.get_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})["Item"]
    for kind in ("ss", "ns", "bs"):
        for value in (found, item):
            [(t, v)] = value[kind].items()
            value[kind] = {t: sorted(v)}
    assert found == item


@pytest.mark.parametrize("given, stored", [
    ("1", "1"), ("+01.50", "1.5"), ("1e3", "1000"), ("-0", "0"), (".5", "0.5"),
    ("1E-130", "0." + "0" * 129 + "1"), ("123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
])
def test_numbers_are_canonical(dynamodb, table, given, stored):
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "n"}, "sk": {"N": "1"}, "v": {"N": given}})
    assert dynamodb.get_item(TableName=table, Key={"pk": {"S": "n"}, "sk": {"N": "1"}})["Item"]["v"]["N"] == stored


def test_return_values_of_an_update(dynamodb, table):
    key = {"pk": {"S": "rv"}, "sk": {"N": "1"}}
    dynamodb.put_item(TableName=table, Item={**key, "a": {"N": "1"}, "b": {"S": "keep"}})
    update = dict(TableName=table, Key=key, UpdateExpression="SET a = a + :one, c = :c",
                  ExpressionAttributeValues={":one": {"N": "1"}, ":c": {"S": "new"}})
    assert dynamodb.update_item(**update, ReturnValues="UPDATED_OLD")["Attributes"] == {"a": {"N": "1"}}
    assert dynamodb.update_item(**update, ReturnValues="UPDATED_NEW")["Attributes"] == {"a": {"N": "3"}, "c": {"S": "new"}}
    assert dynamodb.update_item(**update, ReturnValues="ALL_OLD")["Attributes"]["a"] == {"N": "3"}
    assert dynamodb.update_item(**update, ReturnValues="ALL_NEW")["Attributes"] == {**key, "a": {"N": "5"}, "b": {"S": "keep"}, "c": {"S": "new"}}
    assert "Attributes" not in dynamodb.update_item(**update)
    assert dynamodb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"]["a"] == {"N": "6"}
    assert "Attributes" not in dynamodb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")


def test_a_failed_condition_changes_nothing_and_may_return_the_item(dynamodb, table):
    key = {"pk": {"S": "cond"}, "sk": {"N": "1"}}
    dynamodb.put_item(TableName=table, Item={**key, "v": {"N": "1"}}, ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as info:
        dynamodb.put_item(TableName=table, Item={**key, "v": {"N": "2"}},
                          ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert info.value.response["Error"]["Message"] == "The conditional request failed"
    assert info.value.response["Item"] == {**key, "v": {"N": "1"}}
    assert dynamodb.get_item(TableName=table, Key=key)["Item"]["v"] == {"N": "1"}


def test_nested_updates(resource, table):
    items = resource.Table(table)
    items.put_item(Item={"pk": "u", "sk": 1, "m": {"a": 1}, "l": [1, 2, 3], "tags": {"x", "y"}})
    answer = items.update_item(
        Key={"pk": "u", "sk": 1},
        UpdateExpression="SET m.#b = if_not_exists(m.#b, :zero) + :one, l[5] = :four REMOVE l[0] ADD hits :one DELETE tags :x",
        ExpressionAttributeNames={"#b": "b"},
        ExpressionAttributeValues={":zero": 0, ":one": 1, ":four": 4, ":x": {"x"}},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == {
        "pk": "u", "sk": 1, "m": {"a": 1, "b": 1}, "l": [2, 3, 4], "hits": 1, "tags": {"y"},
    }


def test_query_in_both_directions_with_every_key_condition(resource, table):
    items = resource.Table(table)
    with items.batch_writer() as batch:
        for i in range(50):
            batch.put_item(Item={"pk": "q", "sk": i, "even": i % 2 == 0})

    def keys(condition, **parameters):
        return [int(item["sk"]) for item in items.query(KeyConditionExpression=Key("pk").eq("q") & condition, **parameters)["Items"]]

    assert keys(Key("sk").eq(7)) == [7]
    assert keys(Key("sk").lt(3)) == [0, 1, 2]
    assert keys(Key("sk").lte(3)) == [0, 1, 2, 3]
    assert keys(Key("sk").gt(47)) == [48, 49]
    assert keys(Key("sk").gte(47)) == [47, 48, 49]
    assert keys(Key("sk").between(10, 12), ScanIndexForward=False) == [12, 11, 10]
    page = items.query(KeyConditionExpression=Key("pk").eq("q"), FilterExpression=Attr("even").eq(True), Limit=10)
    assert (page["Count"], page["ScannedCount"], page["LastEvaluatedKey"]) == (5, 10, {"pk": "q", "sk": Decimal(9)})


def test_paginators_see_every_item_once(dynamodb, resource, table):
    items = resource.Table(table)
    with items.batch_writer() as batch:
        for i in range(60):
            batch.put_item(Item={"pk": f"p{i % 7}", "sk": i, "pad": "x" * 40_000})
    pages = list(dynamodb.get_paginator("scan").paginate(TableName=table))
    assert len(pages) >= 3
    assert sorted(int(i["sk"]["N"]) for page in pages for i in page["Items"]) == list(range(60))
    seen = []
    for segment in range(5):
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, Segment=segment, TotalSegments=5):
            seen += [int(i["sk"]["N"]) for i in page["Items"]]
    assert sorted(seen) == list(range(60))


def test_consumed_capacity(dynamodb, table):
    key = {"pk": {"S": "cap"}, "sk": {"N": "1"}}
    put = dynamodb.put_item(TableName=table, Item={**key, "pad": {"S": "x" * 3000}}, ReturnConsumedCapacity="TOTAL")
    assert put["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 3.0}
    get = dynamodb.get_item(TableName=table, Key=key, ReturnConsumedCapacity="TOTAL")
    assert get["ConsumedCapacity"]["CapacityUnits"] == 0.5
    get = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True, ReturnConsumedCapacity="INDEXES")
    assert get["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}
    delete = dynamodb.delete_item(TableName=table, Key=key, ReturnConsumedCapacity="TOTAL")
    assert delete["ConsumedCapacity"]["CapacityUnits"] == 3.0


def test_batches(dynamodb, table):
    keys = [{"pk": {"S": "b"}, "sk": {"N": str(i)}} for i in range(25)]
    answer = dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": key}} for key in keys]})
    assert answer["UnprocessedItems"] == {}
    got = dynamodb.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
    assert len(got["Responses"][table]) == 25 and got["UnprocessedKeys"] == {}
    with pytest.raises(ClientError) as info:
        dynamodb.batch_get_item(RequestItems={table: {"Keys": [keys[0], keys[0]]}})
    assert info.value.response["Error"]["Message"] == "Provided list of item keys contains duplicates"


def refusal(call, **parameters):
    with pytest.raises(ClientError) as info:
        call(**parameters)
    return info.value.response["Error"]["Message"]


def test_a_name_and_an_arn_are_one_table_in_a_batch(dynamodb, table):
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    keys = [{"pk": {"S": "arn"}, "sk": {"N": str(i)}} for i in range(2)]
    put, delete = {"PutRequest": {"Item": keys[0]}}, {"DeleteRequest": {"Key": keys[0]}}
    duplicates = "Provided list of item keys contains duplicates"
    assert refusal(dynamodb.batch_write_item, RequestItems={table: [put], arn: [delete]}) == duplicates
    assert refusal(dynamodb.batch_get_item, RequestItems={table: {"Keys": keys[:1]}, arn: {"Keys": keys}}) == duplicates
    more = {"PutRequest": {"Item": keys[1]}}
    written = dynamodb.batch_write_item(RequestItems={table: [put], arn: [more]}, ReturnConsumedCapacity="TOTAL")
    assert written["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 2.0}]
    read = dynamodb.batch_get_item(
        RequestItems={table: {"Keys": keys[:1]}, arn: {"Keys": keys[1:]}}, ReturnConsumedCapacity="TOTAL")
    assert read["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 1.0}]
    assert read["Responses"] == {table: keys[:1], arn: keys[1:]}


@pytest.mark.parametrize("item", [
    {"pk": {"S": "x"}}, {"sk": {"N": "1"}}, {"pk": {"N": "5"}, "sk": {"N": "1"}},
    {"pk": {"L": [{"S": "x"}]}, "sk": {"N": "1"}},
])
def test_a_batch_words_faults_of_an_items_key_as_those_of_a_key(dynamodb, table, item):
    message = refusal(dynamodb.batch_write_item, RequestItems={table: [{"PutRequest": {"Item": item}}]})
    assert message == "The provided key element does not match the schema"


@pytest.mark.parametrize("parameters, message", [
    (dict(UpdateExpression="SET ="), 'Invalid UpdateExpression: Syntax error; token: "=", near: "SET ="'),
    (dict(UpdateExpression="SET a = :x"), "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :x"),
    (dict(UpdateExpression="SET name = :x", ExpressionAttributeValues={":x": {"S": "y"}}), "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: name"),
    (dict(UpdateExpression="SET pk = :x", ExpressionAttributeValues={":x": {"S": "y"}}), "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"),
    (dict(UpdateExpression="REMOVE a", ExpressionAttributeValues={":x": {"S": "y"}}), "Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}"),
])
def test_bad_expressions_are_told_as_dynamodb_tells_them(dynamodb, table, parameters, message):
    with pytest.raises(ClientError) as info:
        dynamodb.update_item(TableName=table, Key={"pk": {"S": "e"}, "sk": {"N": "1"}}, **parameters)
    # Since mid-2026 the service answers what a write checks before its table in this envelope.
    if "part of the key" not in message:
        message = "1 validation error detected: " + message
    assert info.value.response["Error"] == {"Code": "ValidationException", "Message": message}


def test_items_over_the_limit_are_refused(dynamodb, table):
    with pytest.raises(ClientError) as info:
        dynamodb.put_item(TableName=table, Item={"pk": {"S": "big"}, "sk": {"N": "1"}, "v": {"S": "x" * 410_000}})
    assert info.value.response["Error"]["Message"] == "1 validation error detected: Item size has exceeded the maximum allowed size"


def test_legacy_parameters(dynamodb, table):
    key = {"pk": {"S": "legacy"}, "sk": {"N": "1"}}
    dynamodb.put_item(TableName=table, Item={**key, "n": {"N": "1"}}, Expected={"pk": {"Exists": False}})
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(TableName=table, Item=key, Expected={"n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "1"}]}})
    answer = dynamodb.update_item(TableName=table, Key=key, AttributeUpdates={"n": {"Action": "ADD", "Value": {"N": "4"}}}, ReturnValues="ALL_NEW")
    assert answer["Attributes"]["n"] == {"N": "5"}
    found = dynamodb.query(TableName=table, KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "legacy"}]}},
                           QueryFilter={"n": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "5"}, {"N": "6"}]}})
    assert found["Count"] == 1
    assert dynamodb.get_item(TableName=table, Key=key, AttributesToGet=["n"])["Item"] == {"n": {"N": "5"}}


@pytest.mark.parametrize("path", ["a", "a.b", "a[0].b"])
def test_removing_where_there_is_no_item_does_nothing(dynamodb, table, path):
    key = {"pk": {"S": "nowhere"}, "sk": {"N": "0"}}
    answer = dynamodb.update_item(TableName=table, Key=key, UpdateExpression=f"REMOVE {path}", ReturnValues="ALL_NEW")
    assert "Attributes" not in answer
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)


@pytest.mark.parametrize("sort_condition, start, message", [
    ("", ("a", "1"), None),
    ("", ("b", "1"), "The provided starting key is outside query boundaries based on provided conditions"),
    (" AND sk > :s", ("a", "6"), None),
    (" AND sk > :s", ("a", "5"), "The provided starting key does not match the range key predicate"),
    (" AND sk > :s", ("b", "2"), "The provided starting key does not match the range key predicate"),
    (" AND sk = :s", ("a", "6"), "The provided starting key does not match the range key predicate"),
    (" AND sk < :s", ("b", "1"), "The query can return at most one row and cannot be restarted"),
    ("", ("", "1"), "The provided starting key is invalid: One or more parameter values are not valid. "
                    "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"),
])
def test_a_query_starts_within_its_conditions(dynamodb, table, sort_condition, start, message):
    values = {":p": {"S": "a"}, **({":s": {"N": "5"}} if sort_condition else {})}
    query = dict(TableName=table, KeyConditionExpression="pk = :p" + sort_condition, ExpressionAttributeValues=values,
                 ExclusiveStartKey={"pk": {"S": start[0]}, "sk": {"N": start[1]}})
    if message is None:
        assert dynamodb.query(**query)["Items"] == []
    else:
        assert refusal(dynamodb.query, **query) == message


@pytest.mark.parametrize("expression, free_bytes", [
    ("SET b = :v", 409_600 - 3 - 19 - 1),
    ("SET b = :v REMOVE r", 409_600 - 3 - 19 - 1 - 2),
    ("SET b = if_not_exists(c, :v)", 409_600 - 3 - 19 - 1 - 39 - 16),
    ("SET m.b = :v", 409_600 - 3 - 19 - 1 - 5),
])
def test_an_update_is_charged_for_what_its_expression_says(dynamodb, table, expression, free_bytes):
    key = {"pk": {"S": "K"}, "sk": {"N": "1"}}
    update = lambda n, **more: dynamodb.update_item(
        TableName=table, Key=key, UpdateExpression=expression, ExpressionAttributeValues={":v": {"S": "x" * n}}, **more)
    dynamodb.put_item(TableName=table, Item={**key, "c": {"S": "c"}, "m": {"M": {}}, "r": {"S": "r"}})
    with pytest.raises(ClientError) as info:
        update(free_bytes + 1, ConditionExpression="attribute_not_exists(pk)")
    assert info.value.response["Error"]["Message"] == "Item size to update has exceeded the maximum allowed size"
    dynamodb.put_item(TableName=table, Item={**key, "c": {"S": "c"}, "m": {"M": {}}})
    update(free_bytes)
