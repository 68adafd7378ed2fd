"""Generates PartiQL statements, and knows where DynamoDB Local answers them differently, each with its reason."""

import json
import re

import generate
import known

# What the statements so far may have written, and those whose items come in no particular order.
WRITTEN = {}
UNORDERED = set()


class Statement:
    """A statement in the making, with its parameters."""

    def __init__(self, rng):
        self.rng, self.parameters = rng, []

    def path(self):
        rng = self.rng
        path = rng.choice(["a", "b", "c", "n", "l", "m", "s", "g", "status", '"h"', "sk", "pk"])
        while rng.random() < 0.2:
            path += rng.choice([f"[{rng.randint(0, 2)}]", "." + rng.choice("abc"), f"['{rng.choice('abc')}']"])
        return path

    def literal(self, value):
        [(kind, inner)] = value.items()
        if kind == "S":
            return "'" + inner.replace("'", "''") + "'"
        if kind == "N":
            return inner
        if kind == "BOOL":
            return str(inner).lower()
        if kind == "NULL":
            return "null"
        if kind == "L":
            parts = [self.literal(element) for element in inner]
            return None if None in parts else "[" + ", ".join(parts) + "]"
        if kind == "M":
            parts = [self.literal(element) for element in inner.values()]
            return None if None in parts else "{" + ", ".join(f"'{name}': {part}" for name, part in zip(inner, parts)) + "}"
        if kind in ("SS", "NS"):
            return "<<" + ", ".join(self.literal({kind[0]: element}) for element in inner) + ">>"
        return None

    def value(self, value):
        text = self.literal(value) if self.rng.random() < 0.7 else None
        if text is None:
            self.parameters.append(value)
            text = "?"
        return text

    def any_value(self):
        return self.value(generate.value(self.rng))

    def operand(self):
        roll = self.rng.random()
        if roll < 0.5:
            return self.path()
        return f"size({self.path()})" if roll < 0.6 else self.any_value()

    def condition(self, depth=0):
        rng, roll = self.rng, self.rng.random()
        if depth < 2 and roll < 0.12:
            return f"({self.condition(depth + 1)} AND {self.condition(depth + 1)})"
        if depth < 2 and roll < 0.24:
            return f"({self.condition(depth + 1)} OR {self.condition(depth + 1)})"
        if depth < 2 and roll < 0.3:
            return f"NOT {self.condition(depth + 1)}"
        if roll < 0.65:
            return f"{self.path()} {rng.choice(['=', '<>', '<', '<=', '>', '>=', '!='])} {self.operand()}"
        if roll < 0.72:
            return f"{self.path()} {rng.choice(['', 'NOT '])}BETWEEN {self.any_value()} AND {self.any_value()}"
        if roll < 0.79:
            many = ", ".join(self.any_value() for _ in range(rng.randint(1, 3)))
            return f"{self.path()} {rng.choice(['', 'NOT '])}IN {rng.choice(['[%s]', '(%s)'])}" % many
        if roll < 0.9:
            return f"{self.path()} IS {rng.choice(['', 'NOT '])}{rng.choice(['MISSING', 'MISSING', 'NULL', 'STRING', 'NUMERIC', 'BOOLEAN', 'LIST', 'STRUCT', 'BLOB'])}"
        name = rng.choice(["begins_with", "contains", "attribute_type", "attribute_exists", "BEGINS_WITH"])
        if name == "attribute_exists":
            return f"{name}({self.path()})"
        other = rng.choice(["'S'", "'N'", "'L'", "'Q'"]) if name == "attribute_type" else self.operand()
        return f"{name}({self.path()}, {other})"

    def key(self, table, key):
        """A condition on the whole key, more or less."""
        parts = [f"{name} = {self.value(value)}" for name, value in key.items()]
        self.rng.shuffle(parts)
        if self.rng.random() < 0.04:
            parts = parts[:-1] or ["pk > 'a'"]
        if self.rng.random() < 0.3:
            parts.append(self.condition(1))
        return " AND ".join(parts)

    def partition(self, name):
        rng = self.rng
        word = lambda: self.value({"S": rng.choice("uvwxyz") if name == "pk" else rng.choice(generate.WORDS[1:5])})
        roll = rng.random()
        if roll < 0.55:
            return f"{name} = {word()}", True
        if roll < 0.75:
            return f"{name} IN [{word()}, {word()}]", False
        return f"({name} = {word()} OR {name} = {word()})", False


def indexes(table):
    return ["g-all", "g-n"] if table == "simple" else ["l-n", "l-g", "g-keys"]


def select(rng):
    s = Statement(rng)
    table = rng.choice(list(generate.TABLES))
    index = rng.choice(indexes(table)) if rng.random() < 0.3 else None
    columns = "*" if rng.random() < 0.5 else ", ".join(s.path() for _ in range(rng.randint(1, 3)))
    text = f"SELECT {columns} FROM \"{table}\"" + (f".\"{index}\"" if index else "")
    hash_key = "g" if index and index.startswith("g-") else "pk"
    sort_key = {None: "sk" if table == "sorted" else None, "g-n": "n", "l-n": "n", "l-g": "g", "g-keys": "sk"}.get(index)
    ordered = False
    if rng.random() < 0.7:
        where, ordered = s.partition(hash_key)
        if sort_key and rng.random() < 0.5:
            bound = lambda: s.value({"S": rng.choice(generate.WORDS[1:])} if sort_key == "g" else {"N": str(rng.randint(0, 5))})
            where += " AND " + rng.choice([
                f"{sort_key} {rng.choice(['=', '<', '<=', '>', '>='])} {bound()}", f"{sort_key} > 0 AND {sort_key} < {bound()}",
                f"{sort_key} IN [{bound()}, {bound()}]", f"{sort_key} <> {bound()}"])
        if rng.random() < 0.4:
            where += " AND " + s.condition(1)
        text += " WHERE " + where
        if rng.random() < 0.2:
            text += f" ORDER BY {sort_key or hash_key} {rng.choice(['ASC', 'DESC', ''])}"
    elif rng.random() < 0.8:
        text += " WHERE " + s.condition()
    if not ordered or index:
        UNORDERED.add(text)
    more = {"Limit": rng.randint(1, 4)} if ordered and not index and rng.random() < 0.15 else {}
    if rng.random() < 0.1:
        more["ConsistentRead"] = True
    return finished(s, text, more)


def insert(rng):
    s = Statement(rng)
    table = rng.choice(list(generate.TABLES))
    item = generate.item(rng, table)
    text = f"INSERT INTO \"{table}\" VALUE {{" + ", ".join(f"'{name}': {s.value(value)}" for name, value in item.items()) + "}"
    return wrote(s, text, table, item)


def update(rng):
    s = Statement(rng)
    table = rng.choice(list(generate.TABLES))
    key = generate.key(rng, table)
    actions = []
    for _ in range(rng.randint(1, 3)):
        path, roll = s.path(), rng.random()
        if roll < 0.25:
            actions.append(f"REMOVE {path}")
        elif roll < 0.45:
            actions.append(f"SET {path} = {s.path()} {rng.choice('+-')} {s.value({'N': rng.choice(generate.NUMBERS)})}")
        elif roll < 0.55:
            actions.append(f"SET {path} = list_append({s.path()}, {s.any_value()})")
        elif roll < 0.65:
            actions.append(f"SET {path} = {rng.choice(['set_add', 'set_delete'])}({path}, {s.value({'SS': ['a', 'z']})})")
        elif roll < 0.72:
            actions.append(f"SET {path} = if_not_exists({s.path()}, {s.any_value()})")
        else:
            actions.append(f"SET {path} = {s.any_value() if rng.random() < 0.8 else s.path()}")
    text = f"UPDATE \"{table}\" {' '.join(actions)} WHERE {s.key(table, key)}"
    if rng.random() < 0.4:
        text += f" RETURNING {rng.choice(['ALL', 'MODIFIED'])} {rng.choice(['OLD', 'NEW'])} *"
    return wrote(s, text, table, key)


def delete(rng):
    s = Statement(rng)
    table = rng.choice(list(generate.TABLES))
    key = generate.key(rng, table)
    text = f"DELETE FROM \"{table}\" WHERE {s.key(table, key)}"
    if rng.random() < 0.3:
        text += " RETURNING ALL OLD *"
    return wrote(s, text, table, key)


def finished(s, text, more):
    request = {"Statement": text, **more}
    if s.parameters:
        request["Parameters"] = s.parameters
    return request


def wrote(s, text, table, item):
    request = finished(s, text, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if s.rng.random() < 0.2 else {})
    key = {name: item[name] for name, _ in generate.TABLES[table] if name in item}
    WRITTEN.setdefault(text, []).append((table, key))
    return request


def get(rng):
    s = Statement(rng)
    table = rng.choice(list(generate.TABLES))
    columns = rng.choice(["*", "*", s.path()])
    return finished(s, f"SELECT {columns} FROM \"{table}\" WHERE {s.key(table, generate.key(rng, table))}", {})


def request(rng):
    roll = rng.random()
    if roll < 0.5:
        return "ExecuteStatement", select(rng)
    if roll < 0.88:
        return "ExecuteStatement", rng.choice([insert, update, update, delete])(rng)
    makers = [get] if rng.random() < 0.4 else [insert, update, delete]
    statements = [rng.choice(makers)(rng) for _ in range(rng.randint(1, 4))]
    if roll < 0.94:
        return "BatchExecuteStatement", {"Statements": statements}
    return "ExecuteTransaction", {"TransactStatements": statements}


def statements(operation, request):
    return {"ExecuteStatement": [request]}.get(operation) or request.get("Statements") or request.get("TransactStatements") or []


def written_keys(operation, request):
    return [key for statement in statements(operation, request) for key in WRITTEN.get(statement["Statement"], [])]


def normal(request, answer):
    """Tokens and positions are an implementation's own, and so is the order of items without ORDER BY."""
    answer.pop("LastEvaluatedKey", None)
    if answer.get("error") == "DuplicateItem":
        # DynamoDB Local names the exception after the code that it has in a batch.
        answer["error"] = "DuplicateItemException"
    if "NextToken" in answer:
        answer["NextToken"] = "more"
    if request.get("Statement") in UNORDERED and "Items" in answer:
        answer["Items"].sort(key=canonical)
    return answer


def canonical(value):
    return json.dumps(value, sort_keys=True)


SERVICE = "measured against the service by others: it has this text"
FIRST = "a statement that breaks several rules is refused for one of them; they are checked in another order"
# A pattern of the text of DynamoDB Local, one of ours, and the reason.
TEXTS = [
    (r"^Statement wasn't well formed", r"^Statement wasn't well formed", "the service says what is wrong, DynamoDB Local repeats the statement"),
    (r"non-existent table", r"^Requested resource not found", SERVICE),
    (r"Input collection contains duplicates", r"contains duplicates", SERVICE),
    (r"Consistent reads are not supported", r"^Strongly consistent read is not supported", SERVICE),
    (r"under key root\.", r"under key root\[", SERVICE),
    (r"Only single item select|must specify the primary key", r"must specify the primary key", SERVICE),
    (r"^Updates on index keys|^Invalid attribute value type|Type mismatch for Index Key$", r"Type mismatch for Index Key \S+ Expected|secondary index key to unsupported type", "the service says which index key"),
    (r"operand type: \{", r"operand type: \{", "the set of types is in the order of a hash table"),
    (r"does not project", r"does not project|Key attribute's data type|Overlapping", "the service looks at the first of several reads only; " + FIRST),
    (r"", r"^Overlapping conditions with range keys", SERVICE),
    (r"The provided key element|Key attribute|Where clause|Multiple conditions|number of conditions|required keys|empty string value",
     r"The provided key element|Key attribute|Where clause|Multiple conditions|Missing the key|Type mismatch for key|empty string value", "the service words keys that do not fit its own way; " + FIRST),
    (r"^The (document path|provided expression)|^An operand in the update", r"^The (document path|provided expression)|^An operand in the update", FIRST),
    (r"^Key attribute's data type", r"^Key attributes must be scalars", FIRST),
    (r"", r"^Key attributes must be scalars|Cannot update attribute", FIRST),
    (r"^Key attributes must be scalars", r"", FIRST),
    (r"^Duplicate identifiers|^Two document paths|^Unexpected path", r"^Incorrect operand|^The first operand|^The BETWEEN|^Invalid attribute type", FIRST),
    (r"^Duplicate identifiers|^Two document paths|^Key attribute's data type", r"^Strongly consistent read|does not project|Overlapping", FIRST),
    (r"^Two document paths", r"^Two document paths|^Duplicate identifiers", "which of two paths is named first depends on a hash table"),
    (r"The BETWEEN operator requires", r"The BETWEEN operator requires", "numbers are printed in plain notation"),
    (r"^A value provided cannot be converted|Number (over|under)flow", r"cannot be converted to a numeric value|Number (over|under)flow", "the service words conversions its own way"),
    (r"secondary index key", r"secondary index key", "the service says which index key"),
]


def texts(answer):
    """The errors of an answer: its own, those of a batch and those of a transaction."""
    if "error" in answer:
        return [answer.get("message", "")] + [r.get("Message", "") for r in answer.get("CancellationReasons", []) if isinstance(r, dict)]
    return [r["Error"].get("Message", "") for r in answer.get("Responses", []) if isinstance(r, dict) and "Error" in r]


def reason(operation, request, ours, peer):
    """Why the answers may differ, or None if they may not."""
    if peer.get("error") == "InternalFailure" or not isinstance(peer, dict):
        return "DynamoDB Local fails inside"
    if "error" not in ours and "error" not in peer and operation == "ExecuteStatement":
        if sorted(map(canonical, ours["Items"])) == sorted(map(canonical, peer["Items"])):
            return "reads of several partitions come in an order of their own"
        text = request["Statement"]
        if re.search(r"(\[\d+\]|\['\w'\]|\.\w)\.?\w*", text.split(" FROM ")[0]):
            return "DynamoDB Local names columns after the name before the last list index"
    mine, theirs = texts(ours), texts(peer)
    if any(text.startswith("Must have hash key in ORDER BY clause when") for text in mine) and not theirs:
        return SERVICE
    if any(re.search(r"^Overlapping|^Too many decomposed", text) for text in mine) and not theirs:
        return SERVICE
    if any(re.search(r"does not project one or more filter", text) for text in mine) and not theirs:
        return SERVICE
    if any(text.startswith("Key attribute's data type") for text in mine) and not theirs:
        return "DynamoDB Local does not look at the types of keys in several conditions"
    if any("Condition parameter type does not match schema type" in text for text in theirs):
        return "measured against the service by others: a scan may compare a key with any type"
    for text in mine or [""]:
        for other in theirs or [""]:
            for local, service, why in TEXTS:
                if text and other and re.search(local, other) and re.search(service, text):
                    return why
    if operation == "ExecuteStatement" and ".\"" in request["Statement"] and "error" not in ours and "error" not in peer:
        return "a filter of a scan looks at what the index holds, DynamoDB Local at the item"
    if operation != "ExecuteStatement" and any("ValidationError" in text or text.startswith("Key attributes must") for text in mine) and not theirs:
        return "DynamoDB Local does not look at the paths that are selected in batches and transactions"
    if any(re.search(known.WRONG_INDEX_KEY, text) for text in mine) and not theirs:
        return "DynamoDB Local takes values for index keys that do not fit, now and then"
    if " OR " in request.get("Statement", "") and "Items" in ours and "Items" in peer and len(ours["Items"]) < len(peer["Items"]):
        return "DynamoDB Local loses conditions beside alternatives"
    if "error" not in ours and any("empty string value. Key" in text or "data type should match" in text for text in theirs):
        return "a value that contradicts another one for the same key is not looked at"
    if "Limit" in request and " AND " in request["Statement"] and "error" not in ours and "error" not in peer:
        return "DynamoDB Local counts what one of several conditions on a sort key leaves out"
    if operation == "ExecuteTransaction" and "error" in ours and "error" in peer:
        return "DynamoDB Local gives errors of transactions other forms"
    return None


def leaves(operation, request, ours, peer):
    """Why statements whose answers agree may leave different items behind, or None if they may not."""
    if operation in ("BatchExecuteStatement", "ExecuteTransaction"):
        return "DynamoDB Local makes writes of a batch that it refuses"
    return None
