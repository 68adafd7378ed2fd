"""The differences between the service and DynamoDB Local that are known, each with its reason."""


def message(answer):
    return answer.get("message", "") if isinstance(answer, dict) else ""


def reason(operation, request, ours, peer):
    """Why the answers may differ, or None if they may not."""
    if operation == "Scan" and ("Limit" in request or "ExclusiveStartKey" in request) and "Count" in ours and "Count" in peer:
        return "partitions are scanned in the order of a hash that each implementation chooses"
    if operation == "Scan" and "Segment" in request and "Count" in ours and "Count" in peer:
        return "segments are intervals of a hash that each implementation chooses"
    return None
