"""kill -9 while clients write: nothing that was acknowledged is lost."""

import os
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Server, client_for, make_table

ITEMS = 10_000
ROUNDS = int(os.environ.get("ZENOBE_CRASH_ROUNDS", "8"))


@pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="kills its server")
def test_nothing_acknowledged_is_lost(tmp_path):
    server = Server(tmp_path).start()
    client = client_for(server.endpoint)
    make_table(client, "log", [("pk", "S"), ("sk", "N")], [("g", "S")], GlobalSecondaryIndexes=[{
        "IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}])
    acknowledged = {}
    for round_number in range(ROUNDS):
        stop = threading.Event()

        def write(worker):
            mine = client_for(server.endpoint)
            n = 0
            while not stop.is_set():
                key = (f"w{worker}", n % 40)
                value = f"{round_number}-{worker}-{n}"
                try:
                    mine.put_item(TableName="log", Item={
                        "pk": {"S": key[0]}, "sk": {"N": str(key[1])}, "v": {"S": value}, "g": {"S": f"g{n % 3}"}})
                except (BotoCoreError, ClientError):
                    acknowledged.setdefault(key, [(None, True)]).append((value, False))
                    return
                acknowledged[key] = [(value, True)]
                n += 1

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        stop.wait(0.2 + 0.05 * (round_number % 5))
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
        client = client_for(server.endpoint)
        items = [i for page in client.get_paginator("scan").paginate(TableName="log", ConsistentRead=True) for i in page["Items"]]
        found = {(i["pk"]["S"], int(i["sk"]["N"])): i["v"]["S"] for i in items}
        for key, history in acknowledged.items():
            assert found.get(key) in [value for value, _ in history], (key, history)
        indexed = [i for page in client.get_paginator("scan").paginate(TableName="log", IndexName="by-g") for i in page["Items"]]
        order = lambda i: (i["pk"]["S"], int(i["sk"]["N"]))
        assert sorted(indexed, key=order) == sorted(items, key=order)
        for key in acknowledged:
            acknowledged[key] = [(found[key], True)] if key in found else []
        acknowledged = {key: history for key, history in acknowledged.items() if history}
    assert len(acknowledged) > 10
    server.stop()


@pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="kills its server")
def test_an_index_that_is_being_filled_is_filled_in_the_end(tmp_path):
    server = Server(tmp_path).start()
    client = client_for(server.endpoint)
    make_table(client, "log", [("pk", "S")])
    for start in range(0, ITEMS, 25):
        client.batch_write_item(RequestItems={"log": [
            {"PutRequest": {"Item": {"pk": {"S": f"i{n}"}, "g": {"S": f"g{n % 7}"}, "fill": {"S": "x" * 300}}}}
            for n in range(start, start + 25)]})
    client.update_table(TableName="log", AttributeDefinitions=[
        {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": {
            "IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"}}}])
    unfinished = 0
    for round_number in range(200):
        try:
            for n in range(round_number * 3, round_number * 3 + 3):
                client.update_item(TableName="log", Key={"pk": {"S": f"i{n * 7919 % ITEMS}"}}, UpdateExpression="SET g = :g",
                                   ExpressionAttributeValues={":g": {"S": f"r{round_number % 5}"}})
            client.delete_item(TableName="log", Key={"pk": {"S": f"i{round_number}"}})
        finally:
            server.kill()
        server.start()
        client = client_for(server.endpoint)
        [index] = client.describe_table(TableName="log")["Table"]["GlobalSecondaryIndexes"]
        if index["IndexStatus"] == "ACTIVE":
            break
        unfinished += 1
    assert unfinished > 0, "it was never killed in the middle"
    deadline = time.monotonic() + 60
    while client.describe_table(TableName="log")["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] != "ACTIVE":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    pages = client.get_paginator("scan")
    items = [i for page in pages.paginate(TableName="log", ConsistentRead=True, ProjectionExpression="pk, g") for i in page["Items"]]
    indexed = [i for page in pages.paginate(TableName="log", IndexName="by-g") for i in page["Items"]]
    order = lambda item: item["pk"]["S"]
    assert sorted(indexed, key=order) == sorted(items, key=order)
    server.stop()
