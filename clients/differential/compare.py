"""Sends generated requests to Zenobe and to DynamoDB Local side by side and compares the answers.

Every difference is either a defect or known, with the reason why the service differs from DynamoDB Local
(known.py). Only the standard library is needed."""

import http.client
import json
import os
import random
import sys
import time
import urllib.parse

import generate
import known
import legacy
import partiql

SEED = int(os.environ.get("SEED", "1"))
REQUESTS = int(os.environ.get("REQUESTS", "4000"))
SHOWN = int(os.environ.get("SHOWN", "15"))


class Endpoint:
    """One keep-alive connection."""

    def __init__(self, url):
        self.address = urllib.parse.urlparse(url).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=60)

    def call(self, operation, body):
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
                             "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64,
        }
        self.connection.request("POST", "/", body.encode(), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode(errors="replace")

    def wait(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.call("ListTables", "{}")
            except OSError:
                assert time.monotonic() < deadline, f"{self.address} does not answer"
                self.connection = http.client.HTTPConnection(self.address, timeout=60)
                time.sleep(0.2)


def normal(value, path=()):
    """Sets have no order, and neither have the items of a scan or a batch; errors are compared by code and text."""
    if isinstance(value, dict):
        if "__type" in value:
            text = value.get("message", value.get("Message", ""))
            return {"error": value["__type"].split("#")[-1], "message": text,
                    **({"Item": normal(value["Item"])} if "Item" in value else {}),
                    **({"reasons": normal(value["CancellationReasons"])} if "CancellationReasons" in value else {})}
        return {
            k: sorted(v) if k in ("SS", "NS", "BS") and isinstance(v, list) and all(isinstance(e, str) for e in v)
            else normal(v, path + (k,))
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [normal(v, path) for v in value]
    return value


def unordered(operation, answer):
    if operation == "Scan" and "Items" in answer:
        answer["Items"].sort(key=lambda item: json.dumps(item, sort_keys=True))
    if operation == "BatchGetItem":
        for items in answer.get("Responses", {}).values():
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
    for name in ("ConsumedCapacity",):
        if isinstance(answer.get(name), list):
            answer[name].sort(key=lambda c: c["TableName"])
    return answer


def written_keys(operation, request):
    """The items that a request may have changed: table and key."""
    def key_of(table, item):
        return table, {name: item[name] for name, _ in generate.TABLES[table] if name in item}

    if operation in ("PutItem", "UpdateItem", "DeleteItem"):
        return [key_of(request["TableName"], request.get("Item") or request.get("Key") or {})]
    if operation == "BatchWriteItem":
        return [key_of(table, write.get("PutRequest", {}).get("Item") or write.get("DeleteRequest", {}).get("Key") or {})
                for table, writes in request["RequestItems"].items() for write in writes]
    if operation == "TransactWriteItems":
        return [key_of(body["TableName"], body.get("Item") or body.get("Key") or {})
                for action in request["TransactItems"] for body in action.values() if body.get("TableName") in generate.TABLES]
    return partiql.written_keys(operation, request)


def level(ours, peer, operation, request):
    """Compares what a write left behind, and gives the peer our state where they differ, so that one
    difference does not become many. Returns the pairs that differed."""
    differing = []
    for table, key in written_keys(operation, request):
        get = json.dumps({"TableName": table, "Key": key, "ConsistentRead": True})
        (status, a), (_, b) = ours.call("GetItem", get), peer.call("GetItem", get)
        a, b = normal(a), normal(b)
        if status != 200 or known.numeric(a) == known.numeric(b):
            continue
        differing.append((a, b))
        if "Item" in a:
            peer.call("PutItem", json.dumps({"TableName": table, "Item": a["Item"]}))
        else:
            peer.call("DeleteItem", json.dumps({"TableName": table, "Key": key}))
    return differing


def main():
    ours, peer = Endpoint(sys.argv[1]), Endpoint(sys.argv[2])
    ours.wait(), peer.wait()
    rng, transactions_rng = random.Random(SEED), random.Random(f"transactions {SEED}")
    transactions = generate.Transactions()
    for operation, request in generate.set_up():
        for endpoint in (ours, peer):
            status, answer = endpoint.call(operation, json.dumps(request))
            assert status == 200, (endpoint.address, answer)
    time.sleep(0.5)
    differences, excused, succeeded = [], {}, 0
    # Statements come last: what they leave behind would change what the requests before them meet.
    for number in range(REQUESTS + REQUESTS // 2):
        maker = None
        if number >= REQUESTS:
            maker = partiql
            operation, request = partiql.request(rng)
        elif transactions_rng.random() < 0.2:
            operation, request = transactions.request(transactions_rng)
        else:
            maker = legacy if rng.random() < 0.25 else generate
            operation, request = maker.request(rng)
        body = json.dumps(request)
        (status, a), (peer_status, b) = ours.call(operation, body), peer.call(operation, body)
        a, b = unordered(operation, normal(a)), unordered(operation, normal(b))
        if maker is partiql:
            a, b = partiql.normal(request, a), partiql.normal(request, b)
        succeeded += status == 200
        left = level(ours, peer, operation, request)
        if (status, a) == (peer_status, b):
            if left and not (known.leaves(operation, request, *left[0]) or partiql.leaves(operation, request, *left[0])):
                differences.append((number, operation, body, status, left[0][0], peer_status, left[0][1]))
            continue
        reason = known.reason(operation, request, a, b)
        if not reason and maker is partiql:
            reason = partiql.reason(operation, request, known.numeric(a), known.numeric(b))
        if reason:
            excused[reason] = excused.get(reason, 0) + 1
        else:
            differences.append((number, operation, body, status, a, peer_status, b))
    for number, operation, body, status, a, peer_status, b in differences[:SHOWN]:
        print(f"#{number} {operation} {body}\n  zenobe {status} {json.dumps(a, sort_keys=True)[:900]}"
              f"\n  local  {peer_status} {json.dumps(b, sort_keys=True)[:900]}\n")
    for reason, count in sorted(excused.items()):
        print(f"known: {count} times: {reason}")
    assert succeeded > REQUESTS // 4, f"only {succeeded} requests succeeded: the generator is of no use"
    print(f"seed {SEED}: {REQUESTS} requests, {succeeded} succeeded, {len(differences)} differ")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
