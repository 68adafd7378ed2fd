"""Many clients on few keys: no update is lost, one winner of each condition."""

from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from conftest import client_for


def test_counters_count_every_addition(endpoint, table):
    def add(worker):
        client = client_for(endpoint)
        for i in range(100):
            client.update_item(TableName=table, Key={"pk": {"S": "counter"}, "sk": {"N": str(i % 2)}},
                               UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    client = client_for(endpoint)
    counts = [client.get_item(TableName=table, Key={"pk": {"S": "counter"}, "sk": {"N": n}}, ConsistentRead=True)["Item"]["n"]["N"] for n in "01"]
    assert counts == ["400", "400"]


def test_one_client_wins_each_conditional_put(endpoint, table):
    def claim(worker):
        client = client_for(endpoint)
        won = 0
        for i in range(50):
            try:
                client.put_item(TableName=table, Item={"pk": {"S": "claim"}, "sk": {"N": str(i)}, "by": {"N": str(worker)}},
                                ConditionExpression="attribute_not_exists(pk)")
                won += 1
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 50
