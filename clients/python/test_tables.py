"""The life of a table, with the SDK's waiters and paginators."""

import pytest
from botocore.exceptions import ClientError

from conftest import definitions, make_table, schema


def error(info):
    return info.value.response["Error"]["Code"], info.value.response["Error"]["Message"]


def test_a_table_is_made_described_listed_and_deleted(dynamodb, name):
    answer = dynamodb.create_table(
        TableName=name, KeySchema=schema([("id", "S")]), AttributeDefinitions=definitions(("id", "S")),
        ProvisionedThroughput={"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
    )["TableDescription"]
    assert answer["TableStatus"] in ("CREATING", "ACTIVE")
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 3
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 4
    assert table["TableArn"].endswith(f":table/{name}")
    assert table["DeletionProtectionEnabled"] is False
    assert dynamodb.describe_table(TableName=table["TableArn"])["Table"]["TableId"] == table["TableId"]
    pages = dynamodb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1})
    assert name in [n for page in pages for n in page["TableNames"]]
    dynamodb.delete_table(TableName=name)
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException) as info:
        dynamodb.describe_table(TableName=name)
    assert error(info)[1] == f"Requested resource not found: Table: {name} not found"


def test_a_table_is_made_once(dynamodb, table):
    with pytest.raises(dynamodb.exceptions.ResourceInUseException) as info:
        make_table(dynamodb, table, [("pk", "S")])
    assert error(info)[1] == f"Table already exists: {table}"


def test_deletion_protection_protects(dynamodb, name):
    make_table(dynamodb, name, [("pk", "S")], DeletionProtectionEnabled=True)
    with pytest.raises(ClientError) as info:
        dynamodb.delete_table(TableName=name)
    assert error(info)[0] == "ValidationException"
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    dynamodb.delete_table(TableName=name)


def test_throughput_and_billing_mode_change(dynamodb, name):
    dynamodb.create_table(
        TableName=name, KeySchema=schema([("id", "S")]), AttributeDefinitions=definitions(("id", "S")),
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    waiter = dynamodb.get_waiter("table_exists")
    waiter.wait(TableName=name, WaiterConfig={"Delay": 1})
    dynamodb.update_table(
        TableName=name, ProvisionedThroughput={"ReadCapacityUnits": 2, "WriteCapacityUnits": 5})
    waiter.wait(TableName=name, WaiterConfig={"Delay": 1})
    throughput = dynamodb.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (2, 5)
    dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    waiter.wait(TableName=name, WaiterConfig={"Delay": 1})
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    dynamodb.delete_table(TableName=name)


def test_tags(dynamodb, table):
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "shop"}, {"Key": "env", "Value": "test"}])
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["env"])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_limits_and_endpoints(dynamodb):
    limits = dynamodb.describe_limits()
    assert limits["TableMaxReadCapacityUnits"] >= 40000
    assert dynamodb.describe_endpoints()["Endpoints"][0]["CachePeriodInMinutes"] > 0


def test_constraint_failures_are_collected(endpoint):
    from conftest import client_for
    lenient = client_for(endpoint, parameter_validation=False)
    with pytest.raises(ClientError) as info:
        lenient.create_table(TableName="x$", AttributeDefinitions=[], BillingMode="FREE")
    code, message = error(info)
    assert code == "ValidationException"
    assert "validation errors detected: " in message


def test_unknown_index_and_unknown_table(dynamodb, table):
    with pytest.raises(ClientError) as info:
        dynamodb.query(TableName=table, IndexName="nope", KeyConditionExpression="pk = :p",
                       ExpressionAttributeValues={":p": {"S": "a"}})
    assert error(info) == ("ValidationException", "The table does not have the specified index: nope")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException) as info:
        dynamodb.get_item(TableName="missing-table", Key={"pk": {"S": "a"}})
    assert error(info)[1] == "Requested resource not found"
