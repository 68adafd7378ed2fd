"""DynamoDB Streams as its consumers use it: a poller like Lambda's, a walk over shards like the Kinesis Client
Library's, trimming, and kill -9 under it all."""

import collections
import os
import threading
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Server, client_for, make_table

ROUNDS = int(os.environ.get("ZENOBE_CRASH_ROUNDS", "8"))
OWN_SERVER = pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="needs a server with settings of its own")
KEYS = [("pk", "S"), ("sk", "N")]


def streams_for(endpoint, **config):
    return boto3.client(
        "dynamodbstreams", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test", config=Config(retries={"max_attempts": 2}, **config))


@pytest.fixture(scope="session")
def streams(endpoint):
    return streams_for(endpoint)


def make_streamed(dynamodb, name, view="NEW_AND_OLD_IMAGES"):
    make_table(dynamodb, name, KEYS, StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    return dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]


def all_shards(streams, arn):
    shards, start = [], {}
    while True:
        page = streams.describe_stream(StreamArn=arn, Limit=25, **start)["StreamDescription"]
        shards += page["Shards"]
        if "LastEvaluatedShardId" not in page:
            return shards
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}


def iterator(streams, arn, shard_id, kind="TRIM_HORIZON", **more):
    return streams.get_shard_iterator(StreamArn=arn, ShardId=shard_id, ShardIteratorType=kind, **more)["ShardIterator"]


class Consumer:
    """Walks a stream as the Kinesis adapter does: shards by lease, a child only when its parent is at its end."""

    def __init__(self, streams, arn):
        self.streams, self.arn = streams, arn
        self.iterators, self.done, self.records = {}, set(), []
        self.prepared = {}

    def prepare(self, shards):
        """Takes the iterators before anything is read. Who takes that of a child after its parent was read may find that
        records between them were trimmed meanwhile, and nobody would say so; an iterator from before is refused then."""
        self.prepared = {shard["ShardId"]: iterator(self.streams, self.arn, shard["ShardId"]) for shard in shards}

    def discover(self, shards):
        known = {shard["ShardId"] for shard in shards}
        assert [shard["ShardId"] for shard in shards] == sorted(known)
        for shard in shards:
            parent = shard.get("ParentShardId")
            ready = parent not in known or parent in self.done
            if ready and shard["ShardId"] not in self.iterators and shard["ShardId"] not in self.done:
                prepared = self.prepared.pop(shard["ShardId"], None)
                self.iterators[shard["ShardId"]] = prepared or iterator(self.streams, self.arn, shard["ShardId"])

    def poll(self, shards=None):
        """Reads a page of each shard; says which of them have no more for now."""
        self.discover(shards or all_shards(self.streams, self.arn))
        idle = set(self.done)
        for shard_id, position in list(self.iterators.items()):
            page = self.streams.get_records(ShardIterator=position, Limit=100)
            self.records += page["Records"]
            if "NextShardIterator" in page:
                self.iterators[shard_id] = page["NextShardIterator"]
            else:
                del self.iterators[shard_id]
                self.done.add(shard_id)
            if not page["Records"] or shard_id in self.done:
                idle.add(shard_id)
        return idle

    def drain(self):
        """Reads what was written before. Shards that roll over meanwhile have nothing of it."""
        shards = all_shards(self.streams, self.arn)
        self.prepare(shards)
        while not {shard["ShardId"] for shard in shards} <= self.poll(shards):
            pass
        return self.records


def left(streams, arn):
    """What there is of a stream whose old records are trimmed while it is read."""
    while True:
        try:
            return Consumer(streams, arn).drain()
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("TrimmedDataAccessException", "ResourceNotFoundException")


def key_of(record):
    keys = record["dynamodb"]["Keys"]
    return keys["pk"]["S"], int(keys["sk"]["N"])


def replay(records):
    """The table that the records make; each must fit what is there."""
    items, numbers, ids = {}, {}, set()
    for record in records:
        change, key = record["dynamodb"], key_of(record)
        assert items.get(key) == change.get("OldImage"), record
        expected = "INSERT" if "OldImage" not in change else "MODIFY" if "NewImage" in change else "REMOVE"
        assert record["eventName"] == expected
        assert int(change["SequenceNumber"]) > numbers.get(key, 0)
        assert record["eventID"] not in ids
        ids.add(record["eventID"])
        numbers[key] = int(change["SequenceNumber"])
        if "NewImage" in change:
            items[key] = change["NewImage"]
        else:
            del items[key]
    return items


def items_of(dynamodb, name):
    pages = dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    return {(i["pk"]["S"], int(i["sk"]["N"])): i for page in pages for i in page["Items"]}


def error_of(call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_record_has_what_the_sdk_expects(dynamodb, streams, name):
    arn = make_streamed(dynamodb, name)
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    started = time.time()
    dynamodb.put_item(TableName=name, Item={**key, "x": {"S": "hello"}})
    dynamodb.put_item(TableName=name, Item={**key, "x": {"S": "hello"}})
    dynamodb.update_item(TableName=name, Key=key, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": {"BOOL": True}})
    dynamodb.delete_item(TableName=name, Key=key)
    records = Consumer(streams, arn).drain()
    assert [r["eventName"] for r in records] == ["INSERT", "MODIFY", "REMOVE"]
    for record in records:
        assert record["eventSource"] == "aws:dynamodb" and record["eventVersion"] == "1.1" and record["awsRegion"] == "us-east-1"
        assert "userIdentity" not in record and len(record["eventID"]) == 32
        change = record["dynamodb"]
        assert change["Keys"] == key and change["StreamViewType"] == "NEW_AND_OLD_IMAGES"
        assert change["SequenceNumber"].isdecimal() and 21 <= len(change["SequenceNumber"]) <= 40
        assert started - 1 <= change["ApproximateCreationDateTime"].timestamp() <= time.time()
    assert [r["dynamodb"]["SizeBytes"] for r in records] == [7 + 13, 7 + 13 + 9, 7 + 9]
    assert records[1]["dynamodb"]["OldImage"] == {**key, "x": {"S": "hello"}}
    assert records[1]["dynamodb"]["NewImage"] == {**key, "x": {"BOOL": True}}
    assert "NewImage" not in records[2]["dynamodb"]
    description = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert description["StreamStatus"] == "ENABLED" and description["TableName"] == name
    assert arn.endswith("/stream/" + description["StreamLabel"])
    assert [k["AttributeName"] for k in description["KeySchema"]] == ["pk", "sk"]
    for shard in description["Shards"]:
        assert 28 <= len(shard["ShardId"]) <= 65 and "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    dynamodb.delete_table(TableName=name)


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"])
def test_a_view_decides_which_images_there_are(dynamodb, streams, name, view):
    arn = make_streamed(dynamodb, name, view)
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    dynamodb.put_item(TableName=name, Item={**key, "x": {"S": "1"}})
    dynamodb.put_item(TableName=name, Item={**key, "x": {"S": "2"}})
    dynamodb.delete_item(TableName=name, Key=key)
    changes = [record["dynamodb"] for record in Consumer(streams, arn).drain()]
    new, old = view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"), view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES")
    assert [("NewImage" in c, "OldImage" in c) for c in changes] == [(new, False), (new, old), (False, old)]
    dynamodb.delete_table(TableName=name)


def test_what_is_wrong_is_said(dynamodb, streams, name):
    loose = streams_for(streams.meta.endpoint_url, parameter_validation=False)
    arn = make_streamed(dynamodb, name)
    shard = all_shards(streams, arn)[0]["ShardId"]
    gone = arn[:-3] + "xyz"
    missing = f"Requested resource not found: Stream: {gone} not found"
    assert error_of(streams.describe_stream, StreamArn=gone) == ("ResourceNotFoundException", missing)
    assert error_of(streams.describe_stream, StreamArn="x" * 40) == ("ValidationException", "Invalid StreamArn")
    assert error_of(loose.describe_stream)[1] == "1 validation error detected: Value null at 'streamArn' failed to satisfy constraint: Member must not be null"
    assert error_of(loose.list_streams, Limit=0)[1] == "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"
    assert error_of(streams.list_streams, Limit=101)[0] == "ValidationException"
    assert error_of(streams.get_shard_iterator, StreamArn=arn, ShardId="x" * 30, ShardIteratorType="LATEST") == (
        "ResourceNotFoundException", "Requested resource not found: Shard does not exist")
    assert error_of(streams.get_shard_iterator, StreamArn=arn, ShardId=shard, ShardIteratorType="NEWEST")[0] == "ValidationException"
    assert error_of(streams.get_records, ShardIterator="garbage") == ("ValidationException", "Invalid ShardIterator")
    assert error_of(streams.get_records, ShardIterator=iterator(streams, arn, shard), Limit=1001)[0] == "ValidationException"
    enabled = {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}
    assert error_of(dynamodb.update_table, TableName=name, StreamSpecification=enabled) == (
        "ValidationException", f"Table already has an enabled stream: TableName: {name}")
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    assert error_of(dynamodb.update_table, TableName=name, StreamSpecification={"StreamEnabled": False}) == (
        "ValidationException", f"Table has no stream to disable: TableName: {name}")
    dynamodb.delete_table(TableName=name)


def test_a_disabled_stream_and_that_of_a_deleted_table_stay_readable(dynamodb, streams, name):
    first = make_streamed(dynamodb, name, "KEYS_ONLY")
    waiting = [iterator(streams, first, shard["ShardId"], "LATEST") for shard in all_shards(streams, first)]
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "a"}, "sk": {"N": "1"}})
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "b"}, "sk": {"N": "1"}})
    # The iterators from before read to the end, and the last page says so.
    pages = [streams.get_records(ShardIterator=position) for position in waiting]
    assert sum(len(page["Records"]) for page in pages) == 1
    assert not any("NextShardIterator" in page for page in pages)
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    second = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    assert second != first
    dynamodb.put_item(TableName=name, Item={"pk": {"S": "c"}, "sk": {"N": "1"}})
    dynamodb.delete_table(TableName=name)
    assert {s["StreamArn"] for s in streams.list_streams(TableName=name)["Streams"]} == {first, second}
    for arn, expected in ((first, "a"), (second, "c")):
        description = streams.describe_stream(StreamArn=arn)["StreamDescription"]
        assert description["StreamStatus"] == "DISABLED"
        assert all("EndingSequenceNumber" in s["SequenceNumberRange"] for s in description["Shards"])
        consumer = Consumer(streams, arn)
        assert [key_of(record)[0] for record in consumer.drain()] == [expected]
        assert not consumer.iterators


def test_streams_are_listed_in_pages(dynamodb, streams, name):
    names = [f"{name}-{n}" for n in range(3)]
    arns = [make_streamed(dynamodb, each, "KEYS_ONLY") for each in names]
    found, start = [], {}
    while True:
        page = streams.list_streams(Limit=2, **start)
        found += [s["StreamArn"] for s in page["Streams"] if s["TableName"] in names]
        if "LastEvaluatedStreamArn" not in page:
            break
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert found == arns
    for each in names:
        dynamodb.delete_table(TableName=each)


def test_a_poller_gets_each_record_at_once(dynamodb, streams, name):
    """Like an event source mapping: every open shard from LATEST on, a page at a time."""
    arn = make_streamed(dynamodb, name)
    iterators = [iterator(streams, arn, shard["ShardId"], "LATEST") for shard in all_shards(streams, arn)]
    delays = []
    for n in range(30):
        item = {"pk": {"S": f"p{n}"}, "sk": {"N": "1"}}
        dynamodb.put_item(TableName=name, Item=item)
        acknowledged, batch = time.monotonic(), []
        while not batch:
            pages = [streams.get_records(ShardIterator=position) for position in iterators]
            iterators = [page["NextShardIterator"] for page in pages]
            batch = [record for page in pages for record in page["Records"]]
            assert time.monotonic() - acknowledged < 5
        delays.append(time.monotonic() - acknowledged)
        assert [record["dynamodb"]["NewImage"] for record in batch] == [item]
    # All shards polled once, after the acknowledgement, have it.
    assert sorted(delays)[len(delays) // 2] < 0.1
    dynamodb.delete_table(TableName=name)


def test_iterators_at_a_time_and_at_a_number(dynamodb, streams, name):
    arn = make_streamed(dynamodb, name, "KEYS_ONLY")
    for n in range(4):
        dynamodb.put_item(TableName=name, Item={"pk": {"S": "same"}, "sk": {"N": str(n)}})
    shard, records = next(
        (shard["ShardId"], records) for shard in all_shards(streams, arn)
        if (records := streams.get_records(ShardIterator=iterator(streams, arn, shard["ShardId"]))["Records"]))
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]

    def after(kind, **more):
        page = streams.get_records(ShardIterator=iterator(streams, arn, shard, kind, **more))
        return [record["dynamodb"]["SequenceNumber"] for record in page["Records"]]

    for place, number in enumerate(numbers):
        assert after("AT_SEQUENCE_NUMBER", SequenceNumber=number) == numbers[place:]
        assert after("AFTER_SEQUENCE_NUMBER", SequenceNumber=number) == numbers[place + 1:]
    assert after("AT_TIMESTAMP", Timestamp=time.time() - 3600) == numbers
    assert after("AT_TIMESTAMP", Timestamp=time.time() - 0.001) == []
    assert error_of(streams.get_shard_iterator, StreamArn=arn, ShardId=shard, ShardIteratorType="AT_TIMESTAMP",
                    Timestamp=time.time() + 3600)[0] == "ValidationException"
    dynamodb.delete_table(TableName=name)


@OWN_SERVER
def test_shards_roll_over_under_writers_and_the_lineage_is_the_table(tmp_path):
    server = Server(tmp_path, "--stream-shard-duration-ms", "400").start()
    dynamodb, streams = client_for(server.endpoint), streams_for(server.endpoint)
    arn = make_streamed(dynamodb, "log")
    make_table(dynamodb, "plain", KEYS)
    stop = threading.Event()

    def write(worker):
        mine, n = client_for(server.endpoint), 0
        while not stop.is_set():
            n += 1
            key = {"pk": {"S": f"p{n % 7}"}, "sk": {"N": str(n % 3)}}
            value = {"S": f"{worker}-{n}"}
            if n % 5 == 0:
                mine.delete_item(TableName="log", Key=key)
            elif n % 7 == 0:
                mine.batch_write_item(RequestItems={
                    "log": [{"PutRequest": {"Item": {"pk": {"S": f"b{k}"}, "sk": {"N": str(worker)}, "v": value}}} for k in range(4)],
                    "plain": [{"PutRequest": {"Item": {**key, "v": value}}}]})
            else:
                mine.update_item(TableName="log", Key=key, UpdateExpression="SET v = :v ADD n :one",
                                 ExpressionAttributeValues={":v": value, ":one": {"N": "1"}})

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    consumer, until = Consumer(streams, arn), time.monotonic() + 3
    while time.monotonic() < until:
        consumer.poll()
    stop.set()
    for thread in threads:
        thread.join()
    records = consumer.drain()
    assert replay(records) == items_of(dynamodb, "log")
    assert len(consumer.done) >= 8, "shards were closed and read to their end"
    # A parent has one child, which the filter finds.
    closed = next(s for s in all_shards(streams, arn) if "EndingSequenceNumber" in s["SequenceNumberRange"])
    children = streams.describe_stream(StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": closed["ShardId"]})
    [child] = children["StreamDescription"]["Shards"]
    assert child["ParentShardId"] == closed["ShardId"]
    assert int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > int(closed["SequenceNumberRange"]["EndingSequenceNumber"])
    metrics = urllib.request.urlopen(f"{server.endpoint}/metrics").read().decode()
    figures = dict(line.split() for line in metrics.splitlines() if line.startswith("zenobe_stream") and " " in line)
    assert int(float(figures["zenobe_stream_records_written_total"])) == len(records)
    server.stop()


@OWN_SERVER
def test_signatures_are_verified_as_the_tables_are(tmp_path, monkeypatch):
    monkeypatch.setenv("ZENOBE_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("ZENOBE_SECRET_ACCESS_KEY", "test")
    server = Server(tmp_path).start()
    arn = make_streamed(client_for(server.endpoint), "log")
    assert streams_for(server.endpoint).list_streams()["Streams"][0]["StreamArn"] == arn
    stranger = boto3.client("dynamodbstreams", endpoint_url=server.endpoint, region_name="us-east-1",
                            aws_access_key_id="test", aws_secret_access_key="wrong")
    assert error_of(stranger.list_streams)[0] == "InvalidSignatureException"
    server.stop()


@OWN_SERVER
def test_old_records_are_trimmed_and_their_room_is_given_back(tmp_path):
    server = Server(tmp_path, "--stream-retention-ms", "2000", "--stream-shard-duration-ms", "700", "--memtable-mb", "16").start()
    dynamodb, streams = client_for(server.endpoint), streams_for(server.endpoint)
    arn = make_streamed(dynamodb, "log", "NEW_IMAGE")
    early = [(shard["ShardId"], iterator(streams, arn, shard["ShardId"])) for shard in all_shards(streams, arn)]
    filling = {"B": os.urandom(300_000)}
    for n in range(250):
        dynamodb.put_item(TableName="log", Item={"pk": {"S": f"p{n % 4}"}, "sk": {"N": str(n)}, "v": filling})

    def log_bytes():
        page = urllib.request.urlopen(f"{server.endpoint}/metrics").read().decode()
        return float(next(line.split()[1] for line in page.splitlines() if line.startswith("zenobe_log_disk_bytes ")))

    full, deadline = log_bytes(), time.monotonic() + 30
    while left(streams, arn):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    codes = set()
    for _, position in early:
        try:
            streams.get_records(ShardIterator=position)
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
    assert codes <= {"TrimmedDataAccessException", "ResourceNotFoundException"} and codes
    known = {shard["ShardId"] for shard in all_shards(streams, arn)}
    while known & {shard_id for shard_id, _ in early}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        known = {shard["ShardId"] for shard in all_shards(streams, arn)}
    while log_bytes() >= full:
        # A little is written, for the memtable with the items to be flushed some time.
        dynamodb.put_item(TableName="log", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "v": filling})
        assert time.monotonic() < deadline, "the log keeps what nobody can read"
    dynamodb.put_item(TableName="log", Item={"pk": {"S": "new"}, "sk": {"N": "1"}})
    assert "new" in [key_of(record)[0] for record in left(streams, arn)]
    server.kill()
    server.start()
    dynamodb, streams = client_for(server.endpoint), streams_for(server.endpoint)
    assert all(key_of(record)[0] in ("new", "x") for record in left(streams, arn))
    server.stop()


@OWN_SERVER
@pytest.mark.parametrize("flags", [
    ("--stream-shard-duration-ms", "300"),
    ("--stream-shard-duration-ms", "300", "--stream-retention-ms", "700"),
], ids=["kept", "trimmed"])
def test_every_acknowledged_change_is_there_once_and_in_order(tmp_path, flags):
    """Counters go up; the server is killed again and again. With trimming, what is left is a run without a gap."""
    server = Server(tmp_path, *flags).start()
    dynamodb = client_for(server.endpoint)
    arn = make_streamed(dynamodb, "log", "NEW_IMAGE")
    acknowledged = collections.Counter()
    for round_number in range(ROUNDS):
        stop = threading.Event()

        def write(worker):
            mine, n = client_for(server.endpoint), 0
            while not stop.is_set():
                n += 1
                try:
                    answer = mine.update_item(
                        TableName="log", Key={"pk": {"S": f"w{worker}"}, "sk": {"N": str(n % 5)}}, UpdateExpression="ADD n :one",
                        ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="ALL_NEW")
                except (BotoCoreError, ClientError):
                    return
                acknowledged[(f"w{worker}", n % 5)] = int(answer["Attributes"]["n"]["N"])

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        stop.wait(0.4 + 0.05 * (round_number % 5))
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
        dynamodb, streams = client_for(server.endpoint), streams_for(server.endpoint)
        counts = {key: int(item["n"]["N"]) for key, item in items_of(dynamodb, "log").items()}
        for key, count in acknowledged.items():
            assert counts[key] >= count
        trimmed, seen = len(flags) > 2, {}
        try:
            records = Consumer(streams, arn).drain()
        except ClientError as error:
            # The reader was slower than the trimming.
            assert trimmed and error.response["Error"]["Code"] in ("TrimmedDataAccessException", "ResourceNotFoundException")
            continue
        for record in records:
            key, count = key_of(record), int(record["dynamodb"]["NewImage"]["n"]["N"])
            assert count == seen.get(key, count - 1 if trimmed else 0) + 1, (key, count)
            seen[key] = count
        if trimmed:
            assert all(count == counts[key] for key, count in seen.items())
        else:
            assert seen == counts
    assert len(acknowledged) == 20
    server.stop()


def test_the_end_of_a_time_to_live_is_told_apart(dynamodb, streams, name):
    arn = make_streamed(dynamodb, name)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    now = int(time.time())
    for key, expires in (("old", now - 60), ("young", now + 3600)):
        dynamodb.put_item(TableName=name, Item={"pk": {"S": key}, "sk": {"N": "1"}, "expires": {"N": str(expires)}})
    dynamodb.delete_item(TableName=name, Key={"pk": {"S": "young"}, "sk": {"N": "1"}})
    consumer, deadline = Consumer(streams, arn), time.monotonic() + 90
    while len([r for r in consumer.records if r["eventName"] == "REMOVE"]) < 2:
        assert time.monotonic() < deadline, "the item was not deleted"
        consumer.poll()
        time.sleep(0.1)
    identities = {key_of(r)[0]: r.get("userIdentity") for r in consumer.records if r["eventName"] == "REMOVE"}
    assert identities == {"old": {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}, "young": None}
    dynamodb.delete_table(TableName=name)
