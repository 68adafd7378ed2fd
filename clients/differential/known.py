"""The differences between the service and DynamoDB Local that are known, each with its reason."""


import re
from decimal import Decimal, InvalidOperation

VALUES = "the service words errors in values and conversions its own way"
TYPES = "the service names types as requests do"
# What an update is told that gives an index key another type.
WRONG_INDEX_KEY = r"Type mismatch for Index Key|secondary index key to unsupported type"
KEYS = "the service has other texts for keys that do not fit"
ORDER = "a request that breaks several rules is refused for one of them; they are checked in another order"
# What an update finds wrong with the item that it meets.
RUN_TIME = (r"^The document path provided in the update expression is invalid|^The provided expression refers to an attribute"
            r"|^An operand in the update expression has an incorrect data type|^Type mismatch for attribute to update$")
REMOVES_NOTHING = "where there is no item, the service does not look at the paths of what is removed"
SEGMENTS = "the service has other texts for segments"

# A pattern of the text of DynamoDB Local, one of the service's text, and the reason.
TEXTS = [
    (r"^Limit must be", r"'Limit' failed to satisfy constraint", "the service words constraints its own way"),
(r"Type mismatch for Index Key$|^Invalid attribute value type$|^Updates on index keys must be", r"Type mismatch for Index Key \S+ Expected", "the service says which index key"),
    (r"Type mismatch for Index Key$|^Invalid attribute value type$", r"attempted to update the secondary index key to unsupported type", "the service has another text for what is computed"),
    (RUN_TIME, r"Type mismatch for Index Key", ORDER),
    (r"", r"^1 validation error detected: ", "the service checks what needs no table before it looks the table up"),
    (r"", r"^Key attributes must be scalars", ORDER),
    (r"^Key attributes must be scalars", r"", ORDER),
    (RUN_TIME, RUN_TIME, ORDER),
    (r"ComparisonOperator .* is not valid for", r"ComparisonOperator .* is not valid for|must be of same type", ORDER),
    (r"^Updates on index keys must be|A value specified for a secondary index key", r"attempted to update a secondary index key",
     "DynamoDB Local has texts of their own for index keys in AttributeUpdates"),
    (r"contains duplicates", r"^Invalid ProjectionExpression|Duplicate value in attribute name", ORDER),
    (r"", r"^The Segment parameter is zero-based", ORDER),
    (r"", r"AttributeValues inside AttributeValueList must be of same type|unused in expressions", ORDER),
    (r"may not contain null or empty values|number of conditions on the keys", r"", ORDER),
    (r"^Only scalar types can be used as", r"", ORDER),
    (r"Attempted conditional constraint is not an indexable operation", r"One or more parameter values were invalid", ORDER),
    (r"contains duplicates", r"One or more parameter values are not valid", ORDER),
    (r"Type mismatch for key", r"contains duplicates", ORDER),
    (r"The table does not have the specified index|^Consistent reads are not supported|^Invalid (Filter|Projection)Expression",
     r"^Invalid (Filter|Projection|KeyCondition)Expression|choosing to get SPECIFIC_ATTRIBUTES", "the service checks expressions before it looks for the index"),
    (r"does not project one or more filter attributes|does not project \[", r"does not project|not an indexable operation", ORDER),
    (r"Type mismatch for Index Key|^Invalid attribute value type", r"contains duplicates", ORDER),
    (r"The BETWEEN operator requires", r"The BETWEEN operator requires", "numbers are printed in plain notation"),
    (r"The table does not have the specified index", r"unused in expressions", "the service checks expressions before it looks for the index"),
    (r"can only be specified when using expressions: .* null$", r"can only be specified when using expressions$", "only scans of the service say which expression"),
    (r"A value provided cannot be converted into a number", r"The parameter cannot be converted to a numeric value", VALUES),
    (r"Number (over|under)flow", r"Number (over|under)flow", VALUES),
    (r"(ADD|DELETE) action (with value )?is not supported for the type [A-Z]+$", r"is not supported for the type [A-Z]+$", TYPES),
    (r"Cannot have two attributes with the same name", r"Duplicate value in attribute name", "the service says which attribute"),
    (r"^Cannot specify the", r"^1 validation error detected: Cannot specify the", "queries of the service count this error"),
    (r"[Ss]egment", r"The (Total)?Segments? parameter", SEGMENTS),
    (r"Conditions must be at least length 1", r"Conditions can be of length 1 or 2 only", "the service has one text for both"),
    (r"The number of conditions on the keys is invalid", r"The provided key element does not match the schema", KEYS),
    (r"One of the required keys was not given a value", r"Missing the key|The provided key element does not match", KEYS),
    (r"Type mismatch for key", r"The provided key element does not match the schema|Type mismatch for key", KEYS),
    (r"Query condition missed key schema element", r"Query condition missed key schema element: ", KEYS),
    (r"Only scalar types can be used as Range Key values", r"Attempted conditional constraint is not an indexable operation", KEYS),
    (r"(Two document paths .*path one: .*), path two: ", r"Two document paths .*path two: ", "the second path named is whichever a hash table has last"),
    (r"Return values set to invalid value", r"ReturnValues can only be ALL_OLD or NONE", "the service has another text"),
]


def message(answer):
    return answer.get("message", "") if isinstance(answer, dict) else ""


def numeric(value):
    """The answer with every number in one notation."""
    if isinstance(value, dict):
        return {
            name: "n:" + str(Decimal(inner).normalize()) if name == "N" and isinstance(inner, str) and decimal(inner)
            else sorted("n:" + str(Decimal(n).normalize()) for n in inner) if name == "NS" and all(decimal(n) for n in inner)
            else numeric(inner)
            for name, inner in value.items()
        }
    return [numeric(inner) for inner in value] if isinstance(value, list) else value


def decimal(text):
    try:
        Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        return False
    return True


def without_capacity(answer):
    return {name: value for name, value in answer.items() if name != "ConsumedCapacity"}


def regardless_of_order(answer):
    answer = numeric(answer)
    items = sorted(repr(sorted(item.items(), key=repr)) for item in answer.get("Items", []))
    return {**answer, "Items": items}


def units(answer):
    capacity = answer.get("ConsumedCapacity", [])
    return sum(part.get("CapacityUnits", 0) for part in (capacity if isinstance(capacity, list) else [capacity]))


def removes_at_a_path(action, text):
    """Whether DynamoDB Local refuses to remove something for the path that it has in an item that does not exist."""
    only_removes = not re.search(r"\b(SET|ADD)\b", action.get("UpdateExpression", "SET"))
    return only_removes and text.startswith("The document path provided in the update expression is invalid")


def reason(operation, request, ours, peer):
    """Why the answers may differ, or None if they may not."""
    if operation.startswith("Transact"):
        return transaction_reason(request, ours, peer)
    if operation == "Scan" and ("Limit" in request or "ExclusiveStartKey" in request) and "Count" in ours and "Count" in peer:
        return "partitions are scanned in the order of a hash that each implementation chooses"
    if operation == "Scan" and "Segment" in request and "Count" in ours and "Count" in peer:
        return "segments are intervals of a hash that each implementation chooses"
    if "error" not in ours and message(peer).startswith("Updates on index keys must be") and "AttributeUpdates" in request:
        return "DynamoDB Local refuses to delete a set from an index key that does not exist"
    if ours.get("error") == peer.get("error") == "ConditionalCheckFailedException" and numeric(ours) == numeric(peer):
        return "DynamoDB Local answers numbers within documents as they were written"
    if "error" not in ours and "error" not in peer:
        if numeric(ours) == numeric(peer):
            return "DynamoDB Local answers numbers within documents as they were written"
        if operation in ("Query", "Scan") and regardless_of_order(ours) == regardless_of_order(peer):
            return "items with equal index keys, and scans, have an order that each implementation chooses"
        if numeric(without_capacity(ours)) == numeric(without_capacity(peer)):
            if "ReturnConsumedCapacity" not in request and "ConsumedCapacity" in peer:
                return "DynamoDB Local answers capacity of deletes that nobody asked for"
            if operation == "BatchGetItem":
                return "a key without an item costs half a unit, too"
            if operation in ("PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem") and units(ours) != units(peer):
                return "DynamoDB Local does not count what leaves an index"
            if operation in ("Query", "Scan") and request.get("IndexName", "").startswith("l-"):
                return "DynamoDB Local does not count what a local index fetches from its table"
            if operation in ("Query", "Scan") and ours.get("ScannedCount") == 0:
                return "a read that finds nothing costs half a unit, of an index too"
    if "error" in ours and peer.get("error") == "InternalFailure":
        return "DynamoDB Local fails inside on some key conditions"
    if re.search(r"^1 validation error detected: |^Key attributes must be scalars|Type mismatch for Index Key", message(ours)) and peer.get("error") == "ConditionalCheckFailedException":
        return ORDER
    if operation == "UpdateItem" and "error" not in ours and not ours.get("Attributes") and removes_at_a_path(request, message(peer)):
        return REMOVES_NOTHING
    if operation == "UpdateItem" and "error" not in ours and ours.get("Attributes") is None and peer.get("Attributes"):
        return "removing from an item that does not exist does not make it"
    if "error" in ours and ours["error"] == peer.get("error"):
        if message(ours) == "1 validation error detected: " + message(peer):
            return "the service counts the errors of PutItem, UpdateItem and DeleteItem"
        for local, service, why in TEXTS:
            if re.search(local, message(peer)) and re.search(service, message(ours)):
                return why
    return None


CONDITION = "The conditional request failed"
KEY_FAULTS = r"Type mismatch for (key|Index Key)|Missing the key|The provided key element does not match the schema|attempted to update (a|the) secondary index key"
LOCAL_KEY_FAULTS = (r"^One of the required keys was not given a value|^The number of conditions on the keys is invalid|^Type mismatch for key"
                    r"|Type mismatch for (key|Index Key)$|^Invalid attribute value type|^Updates on index keys must be")


def reasons_of(answer):
    return answer.get("reasons", []) if isinstance(answer, dict) else []


def codes(answer):
    return [reason["Code"] for reason in reasons_of(answer)]


def selected(answer):
    """The responses of TransactGetItems, where an item without any of the attributes asked for is none."""
    responses = [{} if response == {"Item": {}} else response for response in answer.get("Responses", [])]
    return numeric({**without_capacity(answer), "Responses": responses})


def transaction_reason(request, ours, peer):
    """The same for transactions."""
    if "error" not in ours and "error" not in peer:
        if selected(ours) == selected(peer):
            return ("transactions of the service say whether they read or write, count a ConditionCheck and a Delete of nothing twice, "
                    "count what they do to indexes once, and answer no item where a projection selects nothing")
        return None
    if ours.get("error") == peer.get("error") == "ResourceNotFoundException":
        return "the service has another text"
    if ours.get("error") == "ResourceNotFoundException" and "error" in peer:
        return "the service looks all tables up before it looks at an item"
    if ours.get("error") == peer.get("error") == "IdempotentParameterMismatchException":
        return "DynamoDB Local gives no text"
    if ours.get("error") == peer.get("error") == "TransactionCanceledException" and codes(ours) == codes(peer):
        items = [[numeric(reason.get("Item")) for reason in reasons_of(answer)] for answer in (ours, peer)]
        texts = [reason.get("Message", CONDITION) for reason in reasons_of(ours)]
        if items[0] == items[1] and all(text == CONDITION or re.search(KEY_FAULTS, text) for text in texts):
            return "DynamoDB Local has other texts in the reasons of some actions"
    wrong = " ".join(reason.get("Message", "") for reason in reasons_of(ours))
    if "error" not in peer and re.search(WRONG_INDEX_KEY, wrong):
        return "DynamoDB Local lets a transaction compute an index key of the wrong type"
    updates = [action["Update"] for action in request.get("TransactItems", []) if "Update" in action]
    texts = [message(peer)] + [reason.get("Message", "") for reason in reasons_of(peer)]
    if any(removes_at_a_path(update, text) for update in updates for text in texts):
        return REMOVES_NOTHING
    if re.search(KEY_FAULTS, wrong) and codes(ours).count("None") == len(codes(ours)) - 1:
        if re.search(LOCAL_KEY_FAULTS, message(peer)) or re.search(LOCAL_KEY_FAULTS, " ".join(r.get("Message", "") for r in reasons_of(peer))):
            return KEYS + ", are a reason to cancel, and are found before any item is looked at"
        if "error" in peer:
            return "keys that do not fit are found before any item is looked at"
    if peer.get("error") == "ValidationException" and re.search(RUN_TIME, message(peer)):
        if "ValidationError" in codes(ours):
            return "what an update finds wrong with its item is a reason to cancel"
        if "ConditionalCheckFailed" in codes(ours):
            return ORDER
    if re.search(LOCAL_KEY_FAULTS + "|^Key attributes must be scalars", message(peer)) and "error" in ours:
        return ORDER
    if ours.get("error") == "ValidationException" and "error" in peer:
        if message(ours) == "Transaction request cannot include multiple operations on one item" or message(ours).startswith((
                "Key attributes must be scalars", "Invalid ", "Value provided in ExpressionAttribute", "ExpressionAttribute",
                "One or more parameter values are not valid")):
            return ORDER
    return None


def leaves(operation, request, ours, peer):
    """Why a write whose answers agree may leave different items behind, or None if it may not."""
    if operation in ("UpdateItem", "TransactWriteItems") and "Item" not in ours:
        return "removing from an item that does not exist does not make it"
    return None
