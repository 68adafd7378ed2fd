"""TransactWriteItems and TransactGetItems: all or nothing, why not, once per token, kill -9 in the middle."""

import os
import threading
import time
import uuid

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Server, client_for, make_table

ROUNDS = int(os.environ.get("ZENOBE_CRASH_ROUNDS", "8"))
CANCELLED = "Transaction cancelled, please refer cancellation reasons for specific reasons"


@pytest.fixture
def tables(dynamodb, name):
    """A table with key `pk`, and one with `pk` and `sk`, a local and a global index."""
    make_table(dynamodb, name, [("pk", "S")])
    make_table(
        dynamodb, name + "-i", [("pk", "S"), ("sk", "S")], [("l", "S"), ("g", "S")],
        LocalSecondaryIndexes=[{"IndexName": "by-l", "Projection": {"ProjectionType": "ALL"},
                                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}]}],
        GlobalSecondaryIndexes=[{"IndexName": "by-g", "Projection": {"ProjectionType": "ALL"},
                                 "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}]}])
    yield name, name + "-i"
    for made in (name, name + "-i"):
        dynamodb.delete_table(TableName=made)


def put(table, item, **more):
    return {"Put": {"TableName": table, "Item": item, **more}}


def update(table, key, expression, values, **more):
    return {"Update": {"TableName": table, "Key": key, "UpdateExpression": expression, "ExpressionAttributeValues": values, **more}}


def check(table, key, condition, **more):
    return {"ConditionCheck": {"TableName": table, "Key": key, "ConditionExpression": condition, **more}}


def delete(table, key, **more):
    return {"Delete": {"TableName": table, "Key": key, **more}}


def pk(value):
    return {"pk": {"S": value}}


def cancelled(dynamodb, actions):
    """The reasons for which a transaction is cancelled."""
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_write_items(TransactItems=actions)
    reasons = caught.value.response["CancellationReasons"]
    codes = ", ".join(reason["Code"] for reason in reasons)
    assert caught.value.response["Error"]["Message"] == f"{CANCELLED} [{codes}]"
    return reasons


def refused(dynamodb, code, actions, **more):
    with pytest.raises(ClientError) as caught:
        dynamodb.transact_write_items(TransactItems=actions, **more)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_all_four_actions_across_tables(dynamodb, tables):
    plain, indexed = tables
    for at in ("old", "guard", "counted"):
        dynamodb.put_item(TableName=plain, Item={**pk(at), "n": {"N": "1"}})
    answer = dynamodb.transact_write_items(
        TransactItems=[
            put(indexed, {"pk": {"S": "a"}, "sk": {"S": "1"}, "l": {"S": "l"}, "g": {"S": "g"}}),
            delete(plain, pk("old"), ConditionExpression="attribute_exists(pk)"),
            update(plain, pk("counted"), "SET n = n + :one", {":one": {"N": "1"}}),
            check(plain, pk("guard"), "n = :n", ExpressionAttributeValues={":n": {"N": "1"}}),
            check(plain, pk("nowhere"), "attribute_not_exists(pk)"),
        ],
        ReturnConsumedCapacity="INDEXES", ReturnItemCollectionMetrics="SIZE")
    figures = lambda units: {"CapacityUnits": units, "WriteCapacityUnits": units}
    assert answer["ConsumedCapacity"] == [
        {"TableName": indexed, **figures(4.0), "Table": figures(2.0),
         "LocalSecondaryIndexes": {"by-l": figures(1.0)}, "GlobalSecondaryIndexes": {"by-g": figures(1.0)}},
        {"TableName": plain, **figures(8.0), "Table": figures(8.0)},
    ]
    assert answer["ItemCollectionMetrics"] == {
        indexed: [{"ItemCollectionKey": {"pk": {"S": "a"}}, "SizeEstimateRangeGB": [0.0, 1.0]}]}
    gets = [{"Get": {"TableName": plain, "Key": pk(at)}} for at in ("old", "counted")]
    gets.append({"Get": {"TableName": indexed, "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}}, "ProjectionExpression": "g"}})
    answer = dynamodb.transact_get_items(TransactItems=gets, ReturnConsumedCapacity="TOTAL")
    assert answer["Responses"] == [{}, {"Item": {**pk("counted"), "n": {"N": "2"}}}, {"Item": {"g": {"S": "g"}}}]
    assert answer["ConsumedCapacity"] == [
        {"TableName": plain, "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0},
        {"TableName": indexed, "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0},
    ]
    for index, condition, value in (("by-l", "pk = :v", "a"), ("by-g", "g = :v", "g")):
        found = dynamodb.query(TableName=indexed, IndexName=index, KeyConditionExpression=condition,
                               ExpressionAttributeValues={":v": {"S": value}})
        assert found["Count"] == 1


def test_one_condition_cancels_everything(dynamodb, tables):
    plain, indexed = tables
    dynamodb.put_item(TableName=plain, Item={**pk("there"), "n": {"N": "7"}})
    reasons = cancelled(dynamodb, [
        put(plain, pk("new")),
        put(plain, pk("there"), ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        check(plain, pk("nowhere"), "attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        update(indexed, {"pk": {"S": "a"}, "sk": {"S": "1"}}, "SET g = if_not_exists(absent, :n)", {":n": {"N": "1"}}),
    ])
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert reasons == [
        {"Code": "None"},
        {**failed, "Item": {**pk("there"), "n": {"N": "7"}}},
        failed,
        {"Code": "ValidationError", "Message": "The update expression attempted to update the secondary index key to unsupported type"},
    ]
    assert "Item" not in dynamodb.get_item(TableName=plain, Key=pk("new"), ConsistentRead=True)


def test_keys_that_do_not_fit_cancel_too(dynamodb, tables):
    plain, indexed = tables
    wrong = update(indexed, {"pk": {"S": "a"}, "sk": {"S": "1"}}, "SET g = :n", {":n": {"N": "1"}})
    assert cancelled(dynamodb, [check(plain, pk("x"), "attribute_exists(pk)"), wrong]) == [
        {"Code": "None"},
        {"Code": "ValidationError", "Message": "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: by-g"},
    ]
    number = {"pk": {"N": "1"}}
    reasons = cancelled(dynamodb, [check(plain, pk("x"), "attribute_exists(pk)"), put(plain, number), delete(plain, number)])
    assert reasons == [
        {"Code": "None"},
        {"Code": "ValidationError", "Message": "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"},
        {"Code": "None"},
    ]
    assert cancelled(dynamodb, [delete(plain, number)]) == [
        {"Code": "ValidationError", "Message": "The provided key element does not match the schema"}]
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": plain, "Key": {}}}])
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == ["ValidationError"]


def test_some_mistakes_refuse_the_request_as_a_whole(dynamodb, tables):
    plain, _ = tables
    syntax = 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("'
    for message, actions in [
        ("Transaction request cannot include multiple operations on one item", [put(plain, pk("a")), check(plain, pk("a"), "attribute_exists(pk)")]),
        ("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
         [put(plain, {"pk": {"N": "1"}}), put(plain, pk(""))]),
        (syntax, [put("no-such-table", pk("a")), check(plain, pk("a"), "attribute_exists(")]),
        ("Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}",
         [put(plain, pk("a")), check(plain, pk("a"), "attribute_exists(pk)", ExpressionAttributeValues={":v": {"S": "x"}})]),
        ("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request", [{}]),
        ("TransactItems can only contain one of Check, Put, Update or Delete", [{**put(plain, pk("a")), **delete(plain, pk("b"))}]),
        ("1 validation error detected: Value 'bad!name' at 'transactItems.2.member.delete.tableName' failed to satisfy constraint: "
         "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", [put(plain, pk("a")), delete("bad!name", pk("a"))]),
    ]:
        assert refused(dynamodb, "ValidationException", actions) == message
    assert refused(dynamodb, "ResourceNotFoundException", [put("no-such-table", pk("a"))]) == "Requested resource not found"
    message = refused(dynamodb, "ValidationException", [put(plain, pk("a"))], ReturnConsumedCapacity="X", ReturnItemCollectionMetrics="Y")
    assert message == (
        "2 validation errors detected: Value 'X' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: "
        "[INDEXES, TOTAL, NONE]; Value 'Y' at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must satisfy enum value set: [SIZE, NONE]")


def test_a_hundred_actions_and_four_megabytes(endpoint, tables):
    plain, _ = tables
    dynamodb = client_for(endpoint, parameter_validation=False)
    puts = lambda count, value="": [put(plain, {**pk(f"i{n}"), "v": {"S": value}}) for n in range(count)]
    dynamodb.transact_write_items(TransactItems=puts(100, "small"))
    message = refused(dynamodb, "ValidationException", puts(101))
    assert message.startswith("1 validation error detected: Value '[TransactWriteItem(")
    assert message.endswith("at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100")
    assert refused(dynamodb, "ValidationException", []) == (
        "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
    dynamodb.transact_write_items(TransactItems=puts(30, "x" * 100_000))
    assert refused(dynamodb, "ValidationException", puts(50, "x" * 100_000)).startswith("Transaction payload size cannot exceed 4MB.")
    gets = lambda count: [{"Get": {"TableName": plain, "Key": pk(f"i{n}")}} for n in range(count)]
    answer = dynamodb.transact_get_items(TransactItems=gets(100))
    assert len(answer["Responses"]) == 100 and all("Item" in response for response in answer["Responses"])
    with pytest.raises(ClientError, match="Member must have length less than or equal to 100"):
        dynamodb.transact_get_items(TransactItems=gets(101))
    dynamodb.transact_write_items(TransactItems=[
        update(plain, pk(f"i{n}"), "SET w = v", {":never": {"S": ""}}, ConditionExpression="v <> :never") for n in range(20)])
    with pytest.raises(ClientError, match="ValidationException"):
        dynamodb.transact_get_items(TransactItems=gets(100))
    # Deleting more than that is a small request.
    dynamodb.transact_write_items(TransactItems=[delete(plain, pk(f"i{n}")) for n in range(100)])


def test_the_resource_takes_plain_values(resource, tables):
    plain, _ = tables
    client = resource.meta.client
    client.transact_write_items(TransactItems=[{"Put": {"TableName": plain, "Item": {"pk": "r", "tags": {"x", "y"}, "n": 5}}}])
    answer = client.transact_get_items(TransactItems=[{"Get": {"TableName": plain, "Key": {"pk": "r"}}}])
    assert answer["Responses"] == [{"Item": {"pk": "r", "tags": {"x", "y"}, "n": 5}}]


def test_a_token_works_once_and_bills_reads_then(dynamodb, tables):
    plain, _ = tables
    request = dict(
        TransactItems=[update(plain, pk("c"), "ADD n :one SET big = :big", {":one": {"N": "1"}, ":big": {"S": "x" * 1500}})],
        ClientRequestToken=uuid.uuid4().hex)
    first = dynamodb.transact_write_items(**request, ReturnConsumedCapacity="TOTAL")
    again = dynamodb.transact_write_items(**request, ReturnConsumedCapacity="INDEXES")
    assert first["ConsumedCapacity"] == [{"TableName": plain, "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}]
    assert again["ConsumedCapacity"] == [{
        "TableName": plain, "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0, "Table": {"CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}}]
    assert dynamodb.get_item(TableName=plain, Key=pk("c"))["Item"]["n"] == {"N": "1"}
    with pytest.raises(dynamodb.exceptions.IdempotentParameterMismatchException):
        dynamodb.transact_write_items(**{**request, "TransactItems": [put(plain, pk("c"))]})
    message = refused(dynamodb, "ValidationException", request["TransactItems"], ClientRequestToken="x" * 37)
    assert "'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36" in message


@pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="restarts its server")
def test_a_token_outlives_the_server(tmp_path):
    server = Server(tmp_path).start()
    client = client_for(server.endpoint)
    make_table(client, "counters", [("pk", "S")])
    request = dict(
        TransactItems=[update("counters", pk(at), "ADD n :one", {":one": {"N": "1"}}) for at in "ab"],
        ClientRequestToken="once-and-only-once")
    client.transact_write_items(**request)
    for end in (server.stop, server.kill):
        end()
        server.start()
        client.transact_write_items(**request)
        for at in "ab":
            assert client.get_item(TableName="counters", Key=pk(at), ConsistentRead=True)["Item"]["n"] == {"N": "1"}
        with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
            client.transact_write_items(**{**request, "TransactItems": request["TransactItems"][:1]})
    server.stop()


ACCOUNTS, BALANCE = 10, 1000


def transfer(number, source, target, amount):
    """Moves money between accounts and leaves a note in another table."""
    amount = {":x": {"N": str(amount)}}
    return [
        update("accounts", pk(f"a{source}"), "SET n = n - :x", amount, ConditionExpression="n >= :x"),
        update("accounts", pk(f"a{target}"), "SET n = n + :x", amount),
        put("notes", {**pk(number), "by": {"S": f"a{source}"}}, ConditionExpression="attribute_not_exists(pk)"),
    ]


def total(client):
    answer = client.transact_get_items(TransactItems=[{"Get": {"TableName": "accounts", "Key": pk(f"a{n}")}} for n in range(ACCOUNTS)])
    return sum(int(response["Item"]["n"]["N"]) for response in answer["Responses"])


@pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="kills its server")
def test_a_bank_survives_kill_9(tmp_path):
    server = Server(tmp_path).start()
    client = client_for(server.endpoint)
    make_table(client, "accounts", [("pk", "S")])
    make_table(client, "notes", [("pk", "S")], [("by", "S")], GlobalSecondaryIndexes=[{
        "IndexName": "by-payer", "KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}])
    for n in range(ACCOUNTS):
        client.put_item(TableName="accounts", Item={**pk(f"a{n}"), "n": {"N": str(BALANCE)}})
    acknowledged, sums = set(), []
    for round_number in range(ROUNDS):
        stop = threading.Event()

        def pay(worker):
            mine, n = client_for(server.endpoint), 0
            while not stop.is_set():
                number = f"{round_number}-{worker}-{n}"
                try:
                    mine.transact_write_items(TransactItems=transfer(number, (worker + n) % ACCOUNTS, (worker + 3 * n + 1) % ACCOUNTS, n % 7)
                                              if (worker + n) % ACCOUNTS != (worker + 3 * n + 1) % ACCOUNTS else [put("notes", {**pk(number), "by": {"S": "x"}})])
                except mine.exceptions.TransactionCanceledException:
                    pass
                except (BotoCoreError, ClientError):
                    return
                else:
                    acknowledged.add(number)
                n += 1

        def audit():
            mine = client_for(server.endpoint)
            while not stop.is_set():
                try:
                    sums.append(total(mine))
                except (BotoCoreError, ClientError):
                    return

        threads = [threading.Thread(target=pay, args=(worker,)) for worker in range(4)] + [threading.Thread(target=audit)]
        for thread in threads:
            thread.start()
        stop.wait(0.3 + 0.07 * (round_number % 5))
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
        client = client_for(server.endpoint)
        assert total(client) == ACCOUNTS * BALANCE
        notes = [i for page in client.get_paginator("scan").paginate(TableName="notes", ConsistentRead=True) for i in page["Items"]]
        assert acknowledged <= {note["pk"]["S"] for note in notes}
        indexed = [i for page in client.get_paginator("scan").paginate(TableName="notes", IndexName="by-payer") for i in page["Items"]]
        order = lambda item: item["pk"]["S"]
        assert sorted(notes, key=order) == sorted(indexed, key=order)
    assert set(sums) == {ACCOUNTS * BALANCE}
    assert len(acknowledged) > 20 and len(sums) > 5
    server.stop()


def test_transactions_and_single_writes_at_the_same_time(endpoint, dynamodb, tables):
    """Nobody is locked out, and nothing is lost: what each client was told adds up."""
    plain, _ = tables
    for at in "abc":
        dynamodb.put_item(TableName=plain, Item={**pk(at), "n": {"N": "0"}})
    added = {at: 0 for at in "abc"}
    lock, deadline = threading.Lock(), time.monotonic() + 2

    def work(worker):
        mine, one = client_for(endpoint), {":one": {"N": "1"}}
        pair = ["ab", "bc", "ca", "cb"][worker]
        while time.monotonic() < deadline:
            mine.transact_write_items(TransactItems=[update(plain, pk(at), "ADD n :one", one) for at in pair])
            mine.update_item(TableName=plain, Key=pk("a"), UpdateExpression="ADD n :one", ExpressionAttributeValues=one)
            with lock:
                for at in pair + "a":
                    added[at] += 1

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer = dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": plain, "Key": pk(at)}} for at in "abc"])
    assert [int(response["Item"]["n"]["N"]) for response in answer["Responses"]] == [added[at] for at in "abc"]
    assert min(added.values()) > 10


def test_a_value_of_an_expression_may_be_deeper_than_one_of_an_item(dynamodb, tables):
    plain, _ = tables
    deep = {"S": "x"}
    for _ in range(32):
        deep = {"M": {"a": deep}}
    dynamodb.put_item(TableName=plain, Item=pk("shallow"))
    assert cancelled(dynamodb, [check(plain, pk("shallow"), "d = :d", ExpressionAttributeValues={":d": deep})]) == [
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}]
    assert cancelled(dynamodb, [update(plain, pk("shallow"), "SET d = :d", {":d": deep})]) == [
        {"Code": "ValidationError", "Message": "Nesting Levels have exceeded supported limits"}]
    with pytest.raises(ClientError) as info:
        dynamodb.transact_write_items(TransactItems=[
            check(plain, pk("shallow"), "d = :d", ExpressionAttributeValues={":d": {"M": {"a": deep}}})])
    assert "Nesting Levels have exceeded supported limits" in info.value.response["Error"]["Message"]
