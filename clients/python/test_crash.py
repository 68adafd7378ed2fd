"""kill -9 while clients write: nothing that was acknowledged is lost."""

import os
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Server, client_for, make_table

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
