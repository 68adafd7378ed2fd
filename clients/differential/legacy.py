"""Generates requests with the legacy parameters: Expected, AttributeUpdates, AttributesToGet, KeyConditions,
QueryFilter, ScanFilter and ConditionalOperator."""

import generate
from generate import INDEXES, NAMES, NUMBERS, TABLES, WORDS, Terms

OPERATORS = ["EQ", "NE", "LE", "LT", "GE", "GT", "IN", "BETWEEN", "NULL", "NOT_NULL", "CONTAINS", "NOT_CONTAINS",
             "BEGINS_WITH"]
BAD_VALUES = [{}, {"N": "x"}, {"SS": []}, {"SS": ["a", "a"]}, {"S": "a", "N": "1"}, {"N": "1e126"}]


def names(rng, least=1):
    return rng.sample(NAMES[:10], rng.randint(least, 3))


def operand(rng):
    return rng.choice(BAD_VALUES) if rng.random() < 0.01 else generate.value(rng)


def magnitude(text):
    try:
        return float(text)
    except ValueError:
        return 0


def comparison(rng, make=None):
    """A condition of a filter: mostly with operands that its operator takes."""
    operator = rng.choice(OPERATORS)
    count = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2, "IN": rng.randint(1, 3)}.get(operator, 1)
    if rng.random() < 0.04:
        count = rng.randint(0, 3)
    if make is None:
        kind = rng.random()
        if operator in ("EQ", "NE") or kind < 0.1:
            make = lambda: operand(rng)
        elif kind < 0.5 or operator == "BEGINS_WITH":
            make = lambda: {"S": rng.choice(WORDS)}
        else:
            make = lambda: {"N": rng.choice(NUMBERS)}
    operands = [make() for _ in range(count)]
    if operator == "BETWEEN" and rng.random() < 0.8 and all(len(o) == 1 and [*o][0] in "SN" for o in operands):
        operands.sort(key=lambda o: magnitude(o["N"]) if "N" in o else o["S"].encode()
                      if len({*map(lambda x: [*x][0], operands)}) == 1 else 0)
    if not operands and rng.random() < 0.7:
        return {"ComparisonOperator": operator}
    return {"ComparisonOperator": operator, "AttributeValueList": operands}


def conditions(rng, request, parameter, make=comparison):
    chosen = names(rng, 0 if rng.random() < 0.03 else 1)
    request[parameter] = {name: make(rng) for name in chosen}
    if rng.random() < (0.5 if len(chosen) > 1 else 0.03):
        request["ConditionalOperator"] = rng.choice(["AND", "OR"])


def expectation(rng):
    kind = rng.random()
    if kind < 0.4:
        return comparison(rng)
    if kind < 0.6:
        return {"Exists": False}
    if kind < 0.75:
        return {"Value": operand(rng)}
    if kind < 0.9:
        return {"Exists": True, "Value": operand(rng)}
    return rng.choice([
        {}, {"Exists": True}, {"Exists": False, "Value": {"S": "a"}},
        {"ComparisonOperator": "EQ", "Value": operand(rng)}, {"AttributeValueList": [{"S": "a"}]},
        {"ComparisonOperator": "EQ", "Exists": True, "Value": {"S": "a"}}, {"ComparisonOperator": "LT"},
        {"Value": {"S": "a"}, "AttributeValueList": [{"S": "a"}], "ComparisonOperator": "EQ"},
    ])


def update(rng):
    kind = rng.random()
    if kind < 0.3:
        # Without an action it is PUT too, but DynamoDB Local ignores that.
        return {"Action": "PUT", "Value": operand(rng)}
    if kind < 0.55:
        return {"Action": "ADD", "Value": rng.choice([
            {"N": rng.choice(NUMBERS)}, {"SS": ["a", "q"]}, {"NS": ["1", "7"]}, {"L": [generate.scalar(rng)]}])}
    if kind < 0.75:
        return {"Action": "DELETE", "Value": rng.choice([{"SS": ["a", "b"]}, {"NS": ["1", "2"]}])}
    if kind < 0.92:
        return {"Action": "DELETE"}
    return rng.choice([{}, {"Action": "PUT"}, {"Action": "ADD"}, {"Action": "ADD", "Value": operand(rng)},
                       {"Action": "DELETE", "Value": operand(rng)}])


def write(rng, operation):
    table = rng.choice(list(TABLES))
    request = {"TableName": table}
    if operation == "PutItem":
        request["Item"] = generate.item(rng, table)
    else:
        request["Key"] = generate.key(rng, table)
    if operation == "UpdateItem" and rng.random() < 0.97:
        request["AttributeUpdates"] = {name: update(rng) for name in names(rng)}
    if rng.random() < 0.5:
        conditions(rng, request, "Expected", expectation)
    if rng.random() < 0.02:
        request["ConditionExpression"] = "attribute_exists(pk)"
    generate.options(rng, request, "ReturnValues", "ReturnConsumedCapacity", *(["all"] if operation == "UpdateItem" else []))
    return broken(rng, request)


def broken(rng, request):
    """Now and then adds names or values that no expression can use."""
    if rng.random() < 0.01:
        request["ExpressionAttributeNames"] = {"#a": "a"}
    if rng.random() < 0.01:
        request["ExpressionAttributeValues"] = {":a": {"S": "a"}}
    return request


def attributes_to_get(rng, request):
    if rng.random() < 0.4:
        request["AttributesToGet"] = [rng.choice(NAMES) for _ in range(rng.randint(1, 2))]


def get(rng):
    table = rng.choice(list(TABLES))
    request = {"TableName": table, "Key": generate.key(rng, table)}
    attributes_to_get(rng, request)
    return generate.options(rng, request, "ConsistentRead", "ReturnConsumedCapacity")


def query(rng):
    table = rng.choice(list(TABLES))
    name, partition, sort = rng.choice(INDEXES[table])
    request = {"TableName": table, **({"IndexName": name} if name else {})}
    first = {"S": rng.choice("uvwxyz") if partition == "pk" else rng.choice(WORDS[1:])}
    request["KeyConditions"] = {partition: {"ComparisonOperator": "EQ", "AttributeValueList": [first]}}
    if sort and rng.random() < 0.6:
        word = lambda: {"S": rng.choice(WORDS[1:])}
        number = lambda: {"N": rng.choice(NUMBERS)}
        request["KeyConditions"][sort] = comparison(rng, word if (sort == "g") != (rng.random() < 0.03) else number)
    if rng.random() < 0.03:
        request["KeyConditions"] = rng.choice([
            {}, {"c": comparison(rng)}, {**request["KeyConditions"], "c": comparison(rng)},
            {partition: comparison(rng)}])
    if rng.random() < 0.5:
        conditions(rng, request, "QueryFilter")
        attributes_to_get(rng, request)
    elif rng.random() < 0.3:
        terms = Terms(rng)
        request["FilterExpression"] = generate.condition(rng, terms)
        terms.add_to(request)
    if rng.random() < 0.1:
        request["Select"] = rng.choice(["COUNT", "ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES"])
    return generate.options(rng, request, "ConsistentRead", "ReturnConsumedCapacity")


def scan(rng):
    request = {"TableName": rng.choice(list(TABLES))}
    conditions(rng, request, "ScanFilter")
    attributes_to_get(rng, request)
    if rng.random() < 0.1:
        request["Select"] = rng.choice(["COUNT", "ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES"])
    return broken(rng, generate.options(rng, request, "ConsistentRead", "ReturnConsumedCapacity"))


def batch_get(rng):
    requests = {}
    for table in rng.sample(list(TABLES), rng.randint(1, 2)):
        requests[table] = {"Keys": [generate.key(rng, table) for _ in range(rng.randint(1, 3))]}
        attributes_to_get(rng, requests[table])
    return {"RequestItems": requests}


def request(rng):
    """An operation with its request."""
    operation = rng.choices(["PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchGetItem"],
                            [15, 30, 8, 8, 20, 15, 4])[0]
    makers = {"GetItem": get, "Query": query, "Scan": scan, "BatchGetItem": batch_get}
    if operation in makers:
        return operation, makers[operation](rng)
    return operation, write(rng, operation)
