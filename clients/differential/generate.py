"""Generates requests: valid ones mostly, over few keys and attributes so that they meet, and invalid ones."""

TABLES = {
    "simple": [("pk", "S")],
    "sorted": [("pk", "S"), ("sk", "N")],
}
WORDS = ["", "a", "b", "ab", "abc", "é", "z" * 20]
NUMBERS = ["0", "1", "-1", "2", "10", "1.5", "-0.25", "1e3", "100", "12345678901234567890", "1E-10"]
NAMES = ["a", "b", "c", "n", "l", "m", "s", "g", "h", "status", "sk", "pk"]


def index(name, keys, projection, **more):
    return {"IndexName": name, "KeySchema": [{"AttributeName": a, "KeyType": t} for a, t in keys],
            "Projection": {"ProjectionType": projection, **more}}


def set_up():
    """The tables, with indexes of all kinds."""
    yield "CreateTable", {
        "TableName": "simple", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in [("pk", "S"), ("g", "S"), ("n", "N")]],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            index("g-all", [("g", "HASH")], "ALL"),
            index("g-n", [("g", "HASH"), ("n", "RANGE")], "INCLUDE", NonKeyAttributes=["a", "m"]),
        ],
    }
    yield "CreateTable", {
        "TableName": "sorted", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in [("pk", "S"), ("sk", "N"), ("n", "N"), ("g", "S")]],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "LocalSecondaryIndexes": [
            index("l-n", [("pk", "HASH"), ("n", "RANGE")], "KEYS_ONLY"),
            index("l-g", [("pk", "HASH"), ("g", "RANGE")], "ALL"),
        ],
        "GlobalSecondaryIndexes": [index("g-keys", [("g", "HASH"), ("sk", "RANGE")], "KEYS_ONLY")],
    }


def scalar(rng):
    kind = rng.choice("SSSNNNBX")
    if kind == "S":
        return {"S": rng.choice(WORDS)}
    if kind == "N":
        return {"N": rng.choice(NUMBERS)}
    if kind == "B":
        return {"B": rng.choice(["", "AA==", "YWI=", "/w=="])}
    return rng.choice([{"BOOL": True}, {"BOOL": False}, {"NULL": True}])


def value(rng, depth=0):
    kind = rng.random()
    if kind < 0.65 or depth > 2:
        return scalar(rng)
    if kind < 0.75:
        return rng.choice([
            {"SS": rng.sample(WORDS[1:], rng.randint(1, 3))},
            {"NS": rng.sample(["0", "1", "-1", "2", "10", "1.5"], rng.randint(1, 3))},
            {"BS": rng.sample(["AA==", "YWI=", "/w=="], rng.randint(1, 2))},
        ])
    if kind < 0.88:
        return {"L": [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]}
    return {"M": {rng.choice(NAMES): value(rng, depth + 1) for _ in range(rng.randint(0, 3))}}


def typed(rng, name):
    """A value that suits an attribute: those of indexes mostly have the type of their key."""
    if name == "n" and rng.random() < 0.9:
        return {"N": rng.choice(NUMBERS)}
    if name in ("g", "s") and rng.random() < 0.9:
        return {"S": rng.choice(WORDS[1:])}
    if name == "l" and rng.random() < 0.8:
        return {"L": [value(rng, 1) for _ in range(rng.randint(0, 4))]}
    if name == "m" and rng.random() < 0.8:
        return {"M": {n: value(rng, 1) for n in rng.sample(NAMES[:5], rng.randint(0, 3))}}
    return value(rng)


def key(rng, table):
    found = {"pk": {"S": rng.choice("uvwxyz")}}
    if len(TABLES[table]) > 1:
        found["sk"] = {"N": str(rng.randint(0, 5))}
    if rng.random() < 0.03:
        return rng.choice([
            {}, {"pk": {"N": "1"}}, {"pk": {"S": ""}, **({"sk": {"N": "1"}} if len(TABLES[table]) > 1 else {})},
            {**found, "x": {"S": "y"}}, {"sk": {"N": "1"}},
        ])
    return found


def item(rng, table):
    return {**key(rng, table), **{n: typed(rng, n) for n in rng.sample(NAMES[:10], rng.randint(0, 5))}}


class Terms:
    """Names and values of the expressions of one request."""

    def __init__(self, rng):
        self.rng, self.names, self.values = rng, {}, {}

    def name(self, name):
        if name == "status" or self.rng.random() < 0.3:
            alias = f"#{name}" if self.rng.random() < 0.97 else "#undefined"
            if alias != "#undefined":
                self.names[alias] = name
            return alias
        return name

    def path(self):
        path = self.name(self.rng.choice(NAMES[:10]))
        while self.rng.random() < 0.25:
            path += f"[{self.rng.randint(0, 3)}]" if self.rng.random() < 0.5 else "." + self.name(self.rng.choice(NAMES[:6]))
        return path

    def value(self, value):
        alias = f":v{len(self.values)}"
        self.values[alias] = value
        return alias if self.rng.random() < 0.99 else ":undefined"

    def add_to(self, request):
        if self.names:
            request["ExpressionAttributeNames"] = self.names
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        if self.rng.random() < 0.02:
            request.setdefault("ExpressionAttributeNames", {})["#unused"] = "x"
        return request


def operand(rng, terms):
    kind = rng.random()
    if kind < 0.45:
        return terms.path()
    if kind < 0.55:
        return f"size({terms.path()})"
    return terms.value(value(rng))


def condition(rng, terms, depth=0):
    kind = rng.random()
    if depth < 2 and kind < 0.3:
        left, right = condition(rng, terms, depth + 1), condition(rng, terms, depth + 1)
        return rng.choice([f"{left} AND {right}", f"({left}) OR {right}", f"NOT {left}", f"{left} or ({right})"])
    if kind < 0.5:
        return f"{operand(rng, terms)} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {operand(rng, terms)}"
    if kind < 0.6:
        return f"{rng.choice(['attribute_exists', 'attribute_not_exists'])}({terms.path()})"
    if kind < 0.67:
        return f"attribute_type({terms.path()}, {terms.value({'S': rng.choice(['S', 'N', 'L', 'M', 'SS', 'BOOL', 'NULL', 'X'])})})"
    if kind < 0.76:
        return f"begins_with({terms.path()}, {terms.value(scalar(rng))})"
    if kind < 0.85:
        return f"contains({terms.path()}, {operand(rng, terms)})"
    if kind < 0.92:
        return f"{operand(rng, terms)} BETWEEN {operand(rng, terms)} AND {operand(rng, terms)}"
    return f"{operand(rng, terms)} IN ({', '.join(operand(rng, terms) for _ in range(rng.randint(1, 3)))})"


def maybe_broken(rng, text):
    """Now and then leaves out, doubles or swaps a token."""
    if rng.random() > 0.04:
        return text
    tokens = text.split(" ")
    at = rng.randrange(len(tokens))
    return " ".join(rng.choice([tokens[:at] + tokens[at + 1:], tokens[:at] + [tokens[at]] * 2 + tokens[at + 1:], tokens[:at] + ["="] + tokens[at:]]))


def set_value(rng, terms, path):
    kind = rng.random()
    if kind < 0.4:
        return terms.value(value(rng))
    if kind < 0.6:
        return f"{path} {rng.choice('+-')} {terms.value({'N': rng.choice(NUMBERS)})}"
    if kind < 0.75:
        return f"if_not_exists({terms.path()}, {terms.value(value(rng))})"
    if kind < 0.9:
        return f"list_append({terms.path()}, {terms.value({'L': [scalar(rng)]})})"
    return terms.path()


def update(rng, terms):
    clauses = []
    if rng.random() < 0.75:
        parts = []
        for _ in range(rng.randint(1, 2)):
            path = terms.path()
            parts.append(f"{path} = {set_value(rng, terms, path)}")
        clauses.append("SET " + ", ".join(parts))
    if rng.random() < 0.3:
        clauses.append("REMOVE " + ", ".join(terms.path() for _ in range(rng.randint(1, 2))))
    if rng.random() < 0.25:
        clauses.append(f"ADD {terms.path()} {terms.value(rng.choice([{'N': rng.choice(NUMBERS)}, {'SS': ['a', 'q']}, {'NS': ['1', '7']}, scalar(rng)]))}")
    if rng.random() < 0.15:
        clauses.append(f"DELETE {terms.path()} {terms.value(rng.choice([{'SS': ['a', 'b']}, {'NS': ['1']}, scalar(rng)]))}")
    return " ".join(clauses) or f"REMOVE {terms.path()}"


def projection(rng, terms):
    return ", ".join(terms.path() for _ in range(rng.randint(1, 3)))


def options(rng, request, *names):
    if "ReturnConsumedCapacity" in names and rng.random() < 0.4:
        request["ReturnConsumedCapacity"] = rng.choice(["TOTAL", "INDEXES", "NONE"])
    if "ReturnValues" in names and rng.random() < 0.5:
        request["ReturnValues"] = rng.choice(["NONE", "ALL_OLD"] + (["UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"] if "all" in names or rng.random() < 0.1 else []))
    if "ConsistentRead" in names and rng.random() < 0.3:
        request["ConsistentRead"] = rng.choice([True, False])
    return request


def write(rng, operation):
    table = rng.choice(list(TABLES))
    request, terms = {"TableName": table}, Terms(rng)
    if operation == "PutItem":
        request["Item"] = item(rng, table)
    else:
        request["Key"] = key(rng, table)
    if operation == "UpdateItem" and rng.random() < 0.95:
        request["UpdateExpression"] = maybe_broken(rng, update(rng, terms))
    if rng.random() < 0.3:
        request["ConditionExpression"] = maybe_broken(rng, condition(rng, terms))
        if rng.random() < 0.5:
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    options(rng, request, "ReturnValues", "ReturnConsumedCapacity", *(["all"] if operation == "UpdateItem" else []))
    return terms.add_to(request)


def get(rng):
    table = rng.choice(list(TABLES))
    request, terms = {"TableName": table, "Key": key(rng, table)}, Terms(rng)
    if rng.random() < 0.4:
        request["ProjectionExpression"] = maybe_broken(rng, projection(rng, terms))
    return terms.add_to(options(rng, request, "ConsistentRead", "ReturnConsumedCapacity"))


INDEXES = {
    "simple": [(None, "pk", None), ("g-all", "g", None), ("g-n", "g", "n")],
    "sorted": [(None, "pk", "sk"), ("l-n", "pk", "n"), ("l-g", "pk", "g"), ("g-keys", "g", "sk")],
}


def query(rng):
    table = rng.choice(list(TABLES))
    name, partition, sort = rng.choice(INDEXES[table])
    request, terms = {"TableName": table}, Terms(rng)
    if name:
        request["IndexName"] = name if rng.random() < 0.98 else "no-index"
    text = f"{terms.name(partition)} = {terms.value({'S': rng.choice('uvwxyz') if partition == 'pk' else rng.choice(WORDS[1:])})}"
    if sort and rng.random() < 0.5:
        sample = (lambda: {"S": rng.choice(WORDS[1:])}) if sort == "g" else (lambda: {"N": rng.choice(NUMBERS)})
        kind = rng.random()
        if kind < 0.6:
            text += f" AND {terms.name(sort)} {rng.choice(['=', '<', '<=', '>', '>='])} {terms.value(sample())}"
        elif kind < 0.85:
            text += f" AND {terms.name(sort)} BETWEEN {terms.value(sample())} AND {terms.value(sample())}"
        else:
            text += f" AND begins_with({terms.name(sort)}, {terms.value(sample())})"
    request["KeyConditionExpression"] = maybe_broken(rng, text)
    read_options(rng, request, terms)
    if rng.random() < 0.4:
        request["ScanIndexForward"] = rng.choice([True, False])
    return terms.add_to(request)


def read_options(rng, request, terms):
    if rng.random() < 0.3:
        request["FilterExpression"] = maybe_broken(rng, condition(rng, terms))
    if rng.random() < 0.25:
        request["ProjectionExpression"] = projection(rng, terms)
    elif rng.random() < 0.25:
        request["Select"] = rng.choice(["ALL_ATTRIBUTES", "COUNT", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES"])
    if rng.random() < 0.3:
        request["Limit"] = rng.choice([1, 2, 3, 10, 0])
    options(rng, request, "ConsistentRead", "ReturnConsumedCapacity")


def scan(rng):
    table = rng.choice(list(TABLES))
    request, terms = {"TableName": table}, Terms(rng)
    name = rng.choice(INDEXES[table])[0]
    if name:
        request["IndexName"] = name
    read_options(rng, request, terms)
    if rng.random() < 0.15:
        request["TotalSegments"] = rng.choice([1, 3])
        request["Segment"] = rng.choice([0, 1, 3])
    return terms.add_to(request)


def batch_write(rng):
    requests = {}
    for table in rng.sample(list(TABLES), rng.randint(1, 2)):
        requests[table] = [
            {"PutRequest": {"Item": item(rng, table)}} if rng.random() < 0.7 else {"DeleteRequest": {"Key": key(rng, table)}}
            for _ in range(rng.randint(1, 4))]
    return options(rng, {"RequestItems": requests}, "ReturnConsumedCapacity")


def batch_get(rng):
    requests = {}
    for table in rng.sample(list(TABLES), rng.randint(1, 2)):
        terms = Terms(rng)
        keys = {"Keys": [key(rng, table) for _ in range(rng.randint(1, 4))]}
        if rng.random() < 0.3:
            keys["ProjectionExpression"] = projection(rng, terms)
        requests[table] = options(rng, terms.add_to(keys), "ConsistentRead")
    return options(rng, {"RequestItems": requests}, "ReturnConsumedCapacity")


def action(rng):
    """One action of TransactWriteItems."""
    table, terms = rng.choice(list(TABLES)), Terms(rng)
    kind = rng.choices(["Put", "Update", "Delete", "ConditionCheck"], [4, 4, 1, 2])[0]
    body = {"TableName": table if rng.random() < 0.99 else "no-such-table"}
    body["Item" if kind == "Put" else "Key"] = item(rng, table) if kind == "Put" else key(rng, table)
    if kind == "Update":
        body["UpdateExpression"] = maybe_broken(rng, update(rng, terms))
    if kind == "ConditionCheck" or rng.random() < 0.25:
        # Most conditions of random operands do not hold, so that some are simple.
        body["ConditionExpression"] = maybe_broken(rng, rng.choice(["attribute_exists(pk)", "attribute_not_exists(a)", "attribute_not_exists(pk)"])
                                                   if rng.random() < 0.6 else condition(rng, terms))
        if rng.random() < 0.5:
            body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return {kind: terms.add_to(body)}


class Transactions:
    """Generates transactions; remembers those with a token, to send them again or under another one's token."""

    def __init__(self):
        self.tokens = 0
        self.last = None

    def request(self, rng):
        if rng.random() < 0.3:
            return "TransactGetItems", self.get(rng)
        if self.last and rng.random() < 0.08:
            again, self.last = self.last, None
            if rng.random() < 0.3:
                again = {**again, "TransactItems": [action(rng)]}
            return "TransactWriteItems", options(rng, dict(again), "ReturnConsumedCapacity")
        actions = [action(rng) for _ in range(rng.choice([1, 1, 2, 3, 4]))]
        if rng.random() < 0.02:
            actions.append(rng.choice([{}, {**action(rng), **action(rng)}]))
        request = options(rng, {"TransactItems": actions}, "ReturnConsumedCapacity")
        if rng.random() < 0.2:
            self.tokens += 1
            request["ClientRequestToken"] = f"token-{self.tokens}"
            self.last = request
        return "TransactWriteItems", request

    def get(self, rng):
        gets = []
        for _ in range(rng.randint(1, 4)):
            table, terms = rng.choice(list(TABLES)), Terms(rng)
            get = {"TableName": table, "Key": key(rng, table)}
            if rng.random() < 0.3:
                get["ProjectionExpression"] = maybe_broken(rng, projection(rng, terms))
                terms.add_to(get)
            gets.append({"Get": get})
        return options(rng, {"TransactItems": gets}, "ReturnConsumedCapacity")


def request(rng):
    """An operation with its request."""
    operation = rng.choices(
        ["PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchWriteItem", "BatchGetItem"],
        [20, 30, 6, 12, 18, 8, 5, 5])[0]
    makers = {"GetItem": get, "Query": query, "Scan": scan, "BatchWriteItem": batch_write, "BatchGetItem": batch_get}
    if operation in makers:
        return operation, makers[operation](rng)
    return operation, write(rng, operation)
