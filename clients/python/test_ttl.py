"""Time to live: expired items are deleted with what follows from them, others are not, not even by kill -9."""

import os
import random
import threading
import time
import urllib.request

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Server, client_for, make_table, schema

ROUNDS = int(os.environ.get("ZENOBE_CRASH_ROUNDS", "4"))
BY_G = [{"IndexName": "by-g", "KeySchema": schema([("g", "S")]), "Projection": {"ProjectionType": "KEYS_ONLY"}}]


def enable(client, table, attribute="t"):
    client.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute})
    until(lambda: status(client, table) == "ENABLED")


def status(client, table):
    return client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]


def until(condition, seconds=30, pause=0.05):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(pause)


def everything(client, table, **parameters):
    pages = client.get_paginator("scan").paginate(TableName=table, **parameters)
    return {i["pk"]["S"]: i for page in pages for i in page["Items"]}


def load(client, table, items):
    for start in range(0, len(items), 25):
        batch = [{"PutRequest": {"Item": item}} for item in items[start:start + 25]]
        assert not client.batch_write_item(RequestItems={table: batch})["UnprocessedItems"]


def refusal(call, *args, **parameters):
    with pytest.raises(ClientError) as error:
        call(*args, **parameters)
    return error.value.response["Error"]


def test_the_settings_are_checked(dynamodb, table):
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    enable(dynamodb, table)
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED", "AttributeName": "t"}

    def update(enabled, attribute):
        return refusal(
            dynamodb.update_time_to_live, TableName=table,
            TimeToLiveSpecification={"Enabled": enabled, "AttributeName": attribute})

    assert update(True, "t") == {"Code": "ValidationException", "Message": "TimeToLive is already enabled"}
    assert update(False, "u")["Message"] == (
        "TimeToLive is active on a different AttributeName: current AttributeName is t")
    assert update(True, "x" * 256)["Message"].endswith("Member must have length less than or equal to 255")
    answer = dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "t"})
    assert answer["TimeToLiveSpecification"] == {"Enabled": False, "AttributeName": "t"}
    until(lambda: status(dynamodb, table) == "DISABLED")
    assert update(False, "t")["Message"] == "TimeToLive is already disabled"
    missing = refusal(dynamodb.describe_time_to_live, TableName="no-such-table")
    assert missing == {
        "Code": "ResourceNotFoundException", "Message": "Requested resource not found: Table: no-such-table not found"}


def test_expired_items_go(tmp_path):
    server = Server(tmp_path, "--ttl-interval", "1").start()
    client = client_for(server.endpoint)
    make_table(client, "sessions", [("pk", "S")], [("g", "S")], GlobalSecondaryIndexes=BY_G)
    now = int(time.time())
    item = lambda pk, t: {"pk": {"S": pk}, "g": {"S": "g"}, "t": {"N": str(t)}}
    # Some before it is enabled, some after.
    load(client, "sessions", [item(f"old{n}", now - 10 - n) for n in range(300)])
    enable(client, "sessions")
    load(client, "sessions", [item(f"new{n}", now - 10 - n) for n in range(300)])
    kept = [item("future", now + 3600), item("ancient", now - 6 * 365 * 86400), {"pk": {"S": "none"}, "g": {"S": "g"}}]
    load(client, "sessions", kept)
    client.put_item(TableName="sessions", Item={"pk": {"S": "text"}, "g": {"S": "g"}, "t": {"S": str(now - 10)}})
    client.put_item(TableName="sessions", Item=item("soon", time.time() + 2.5))
    # Nothing hides an item that has expired before it is deleted.
    client.put_item(TableName="sessions", Item=item("seen", now - 5))
    seen = client.get_item(TableName="sessions", Key={"pk": {"S": "seen"}})
    assert "Item" in seen or deleted_items(server) > 0

    left = {"future", "ancient", "none", "text"}
    until(lambda: set(everything(client, "sessions")) == left)
    assert set(everything(client, "sessions", IndexName="by-g")) == left
    assert deleted_items(server) == 602
    assert client.describe_table(TableName="sessions")["Table"]["ItemCount"] == 4
    server.stop()


def test_the_stream_says_who_deleted(tmp_path):
    server = Server(tmp_path, "--ttl-interval", "1").start()
    client = client_for(server.endpoint)
    make_table(client, "seen", [("pk", "S")], StreamSpecification={
        "StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    enable(client, "seen")
    item = {"pk": {"S": "expired"}, "t": {"N": str(int(time.time()) - 5)}}
    client.put_item(TableName="seen", Item=item)
    client.put_item(TableName="seen", Item={"pk": {"S": "deleted"}})
    client.delete_item(TableName="seen", Key={"pk": {"S": "deleted"}})
    until(lambda: not everything(client, "seen"))
    removed = {r["dynamodb"]["Keys"]["pk"]["S"]: r for r in records(server, client, "seen") if r["eventName"] == "REMOVE"}
    assert removed["expired"]["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert removed["expired"]["dynamodb"]["OldImage"] == item
    assert "userIdentity" not in removed["deleted"]
    server.stop()


def records(server, client, table):
    streams = boto3.client(
        "dynamodbstreams", endpoint_url=server.endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test")
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found += streams.get_records(ShardIterator=iterator)["Records"]
    return found


def deleted_items(server):
    page = urllib.request.urlopen(f"{server.endpoint}/metrics").read().decode()
    line = next(l for l in page.splitlines() if l.startswith("zenobe_expired_items_deleted_total "))
    return float(line.split()[1])


@pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="kills its server")
def test_a_crash_in_the_middle(tmp_path):
    """While items expire by the thousand some are renewed; what was acknowledged stays."""
    server = Server(tmp_path, "--ttl-interval", "1").start()
    client = client_for(server.endpoint)
    make_table(client, "log", [("pk", "S")], [("g", "S")], GlobalSecondaryIndexes=BY_G)
    enable(client, "log")
    dice = random.Random(7)
    kept = set()
    in_the_middle = 0
    for round_number in range(ROUNDS):
        now = int(time.time())
        # They expire together, shortly.
        due = now + 2
        names = [f"r{round_number}-{n}" for n in range(2000)]
        load(client, "log", [{"pk": {"S": n}, "g": {"S": "g"}, "t": {"N": str(due)}} for n in names])
        doubtful = set()

        def renew():
            mine = client_for(server.endpoint)
            while True:
                name = dice.choice(names)
                try:
                    mine.update_item(
                        TableName="log", Key={"pk": {"S": name}}, UpdateExpression="SET t = :later",
                        ConditionExpression="attribute_exists(pk)", ExpressionAttributeValues={":later": {"N": str(now + 99999)}})
                    kept.add(name)
                except ClientError as error:
                    assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
                except BotoCoreError:
                    doubtful.add(name)
                    return

        thread = threading.Thread(target=renew)
        thread.start()
        before = deleted_items(server)
        # A sweep takes little time: looked for less often it would be over each time.
        until(lambda: deleted_items(server) > before, pause=0)
        time.sleep(0.02 * round_number)
        server.kill()
        thread.join()
        server.start()
        client = client_for(server.endpoint)
        found = set(everything(client, "log", ConsistentRead=True))
        in_the_middle += 0 < len(found & set(names) - kept) < len(names)
        assert kept <= found
        until(lambda: set(everything(client, "log", ConsistentRead=True)) <= kept | doubtful)
        found = set(everything(client, "log", ConsistentRead=True))
        assert kept <= found
        assert set(everything(client, "log", IndexName="by-g")) == found
        kept |= found
    assert in_the_middle > 0, "no crash met a sweep"
    # Those that were renewed are in the index of times still: now their time is over.
    for name in kept:
        client.update_item(
            TableName="log", Key={"pk": {"S": name}}, UpdateExpression="SET t = :past",
            ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 5)}})
    until(lambda: not everything(client, "log", ConsistentRead=True))
    server.stop()
