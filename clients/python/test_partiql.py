"""PartiQL: ExecuteStatement and BatchExecuteStatement, as the service answers them."""

import boto3
import pytest
from botocore.exceptions import ClientError

ATTRIBUTES = [("artist", "S"), ("year", "N"), ("genre", "S"), ("title", "S")]


def key(name, kind):
    return {"AttributeName": name, "KeyType": kind}


@pytest.fixture(scope="module")
def songs(dynamodb_module):
    """A table with an index of each kind and six items."""
    client, name = dynamodb_module
    client.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": t} for a, t in ATTRIBUTES],
        KeySchema=[key("artist", "HASH"), key("year", "RANGE")],
        GlobalSecondaryIndexes=[
            {"IndexName": "by-genre", "KeySchema": [key("genre", "HASH"), key("title", "RANGE")], "Projection": {"ProjectionType": "ALL"}},
            {"IndexName": "genre-keys", "KeySchema": [key("genre", "HASH")], "Projection": {"ProjectionType": "KEYS_ONLY"}},
            {"IndexName": "composed", "KeySchema": [key("genre", "HASH"), key("title", "HASH")], "Projection": {"ProjectionType": "ALL"}},
        ],
        LocalSecondaryIndexes=[
            {"IndexName": "by-title", "KeySchema": [key("artist", "HASH"), key("title", "RANGE")], "Projection": {"ProjectionType": "KEYS_ONLY"}},
        ])
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    for i in range(6):
        client.execute_statement(
            Statement=f"INSERT INTO \"{name}\" VALUE {{'artist': ?, 'year': ?, 'genre': ?, 'title': ?, 'awards': {{'n': {i}, 'labels': ['first', {{'by': 'jury'}}]}}, 'tags': <<'a','b'>>}}",
            Parameters=[{"S": "Ada" if i < 4 else "Bob"}, {"N": str(2000 + i)}, {"S": f"g{i % 2}"}, {"S": f"t{9 - i}"}])
    return client, name


@pytest.fixture(scope="module")
def dynamodb_module(endpoint):
    client = boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    return client, "partiql-songs"


@pytest.fixture
def sql(songs):
    """Executes a statement on the table, which it calls T."""
    client, name = songs

    def execute(statement, *parameters, **options):
        statement = statement.replace("T.", f'"{name}".').replace(" T", f' "{name}"')
        if parameters:
            options["Parameters"] = list(parameters)
        return client.execute_statement(Statement=statement, **options)

    return execute


def years(answer):
    return [int(item["year"]["N"]) for item in answer["Items"]]


@pytest.mark.parametrize("where, expected", [
    ("artist = 'Ada'", [2000, 2001, 2002, 2003]),
    ("artist = 'Ada' AND year > 2001", [2002, 2003]),
    ("artist = 'Ada' AND year BETWEEN 2001 AND 2002", [2001, 2002]),
    ("artist = 'Ada' AND year IN [2003, 2000]", [2000, 2003]),
    ("artist = 'Ada' AND NOT year = 2001", [2000, 2002, 2003]),
    ("artist IN ['Bob', 'Ada'] AND year > 2002", [2003, 2004, 2005]),
    ("artist = 'Bob' OR artist = 'Ada' AND year = 2000", [2000, 2004, 2005]),
    ("awards.n >= 4 OR awards.labels[1]['by'] IS MISSING", [2004, 2005]),
    ("begins_with(title, 't9') OR contains(tags, 'z')", [2000]),
    ("attribute_type(awards, 'M') AND size(title) = 2 AND year < 2001", [2000]),
    ("\"genre\" IS NOT NULL AND awards IS STRUCT AND year <> 2000 AND year <= 2001", [2001]),
    ("(year = 2005 OR year = 2004) = true AND genre = 'g0'", [2004]),
])
def test_conditions(sql, where, expected):
    assert sorted(years(sql(f"SELECT year FROM T WHERE {where}"))) == expected


@pytest.mark.parametrize("statement, expected", [
    ("SELECT year FROM T WHERE artist = 'Ada' ORDER BY year DESC", [2003, 2002, 2001, 2000]),
    ("SELECT year FROM T WHERE artist IN ['Ada', 'Bob'] ORDER BY artist DESC, year", [2004, 2005, 2000, 2001, 2002, 2003]),
    # Once there is an order, the sort key's is descending unless it says otherwise.
    ("SELECT year FROM T WHERE artist = 'Ada' ORDER BY artist ASC", [2003, 2002, 2001, 2000]),
    ("SELECT year FROM T WHERE artist IN ['Ada', 'Bob'] ORDER BY artist DESC", [2005, 2004, 2003, 2002, 2001, 2000]),
    ("SELECT year FROM T.\"by-genre\" WHERE genre = 'g0' ORDER BY title", [2004, 2002, 2000]),
    ("SELECT year FROM T.\"by-genre\" WHERE genre = 'g1' AND title > 't5'", [2003, 2001]),
    ("SELECT year FROM T.\"by-title\" WHERE artist = 'Ada'", [2003, 2002, 2001, 2000]),
])
def test_order(sql, statement, expected):
    assert years(sql(statement)) == expected


def test_columns_are_named_after_their_last_name(sql):
    [item] = sql("SELECT awards.n, awards.labels[1].\"by\", awards.labels[0], title FROM T WHERE artist = 'Ada' AND year = 2001")["Items"]
    assert item == {"n": {"N": "1"}, "by": {"S": "jury"}, "labels[0]": {"S": "first"}, "title": {"S": "t8"}}


def test_indexes_answer_what_they_hold(sql):
    for item in sql("SELECT * FROM T.\"genre-keys\" WHERE genre = 'g0'")["Items"]:
        assert sorted(item) == ["artist", "genre", "year"]
    # Within an alternative a filter may name what the index does not hold, and finds nothing there.
    either = sql("SELECT year FROM T.\"genre-keys\" WHERE (genre = 'g0' AND title = 't9') OR genre = 'g1'")
    assert sorted(years(either)) == [2001, 2003, 2005]
    fetched = sql("SELECT awards FROM T.\"by-title\" WHERE artist = 'Bob'", ReturnConsumedCapacity="INDEXES")
    assert len(fetched["Items"]) == 2 and "awards" in fetched["Items"][0]
    assert fetched["ConsumedCapacity"]["Table"]["CapacityUnits"] == 1.0
    assert fetched["ConsumedCapacity"]["LocalSecondaryIndexes"]["by-title"]["CapacityUnits"] == 0.5


def test_capacity_is_that_of_the_reads_and_writes(sql):
    def units(statement, **options):
        return sql(statement, ReturnConsumedCapacity="TOTAL", **options)["ConsumedCapacity"]["CapacityUnits"]

    one = "SELECT * FROM T WHERE artist = 'Ada' AND year = 2000"
    assert (units(one), units(one, ConsistentRead=True)) == (0.5, 1.0)
    assert units("SELECT * FROM T WHERE artist IN ['Ada', 'Bob']") == 1.0
    # The item and an entry in each of the four indexes.
    assert units("INSERT INTO T VALUE {'artist': 'cap', 'year': 1, 'genre': 'x', 'title': 'y'}") == 5.0
    assert units("UPDATE T SET note = 1 WHERE artist = 'cap' AND year = 1") == 3.0
    assert units("DELETE FROM T WHERE artist = 'cap' AND year = 1") == 5.0
    assert units("DELETE FROM T WHERE artist = 'cap' AND year = 1") == 1.0


@pytest.mark.parametrize("where", ["", " WHERE artist = 'Ada'", " WHERE artist IN ['Ada', 'Bob']", " WHERE artist IN ['Ada', 'Bob'] ORDER BY artist DESC, year DESC", " WHERE genre = 'g1'"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_add_up_to_the_whole(sql, where, limit):
    whole = years(sql(f"SELECT year FROM T{where}"))
    statement, found, token, pages = f"SELECT year FROM T{where}", [], {}, 0
    while True:
        page = sql(statement, Limit=limit, **token)
        assert len(page["Items"]) <= limit
        found += years(page)
        pages += 1
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == whole
    assert pages >= len(whole) // limit


def test_a_token_belongs_to_its_statement(sql):
    token = sql("SELECT year FROM T WHERE artist = 'Ada'", Limit=1)["NextToken"]
    for statement, wrong, message in [
        ("SELECT title FROM T WHERE artist = 'Ada'", token, "NextToken does not match request"),
        ("SELECT year FROM T WHERE artist = 'Ada'", token[:-8] + "AAAAAAA=", "Invalid NextToken"),
        ("SELECT year FROM T WHERE artist = 'Ada'", "abc", "Invalid NextToken"),
    ]:
        refused(sql, statement, "ValidationException", message, NextToken=wrong)


def refused(sql, statement, code, message, *parameters, **options):
    with pytest.raises(ClientError) as error:
        sql(statement, *parameters, **options)
    assert (error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]) == (code, message)
    return error.value.response


MALFORMED = "Statement wasn't well formed, can't be processed: "
MANDATORY = "Where clause does not contain a mandatory equality on all key attributes"


@pytest.mark.parametrize("statement, message", [
    ("SLECT * FROM T", MALFORMED + "Expected data manipulation"),
    ("SELECT * FROM T WHERE", MALFORMED + "Unexpected term"),
    ("SELECT * FROM T WHERE artist = 'x", MALFORMED),
    ("SELECT * FROM T WHERE artist = 'Ada' garbage", MALFORMED + "Unexpected token after expression"),
    ("SELECT COUNT(*) FROM T", "Unexpected path component at 1:8:5"),
    ("SELECT * FROM T ORDER BY year", "Must have WHERE clause in the statement when using ORDER BY clause."),
    ("SELECT * FROM T WHERE year = 1 ORDER BY year", "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."),
    ("SELECT * FROM T WHERE artist = 'Ada' ORDER BY title", "Attribute title in ORDER BY clause must be part of the primary key"),
    ("SELECT * FROM T WHERE artist IN ['Ada', 'Bob'] ORDER BY year DESC", "Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause."),
    ("SELECT * FROM T WHERE artist = 1", "Key attribute's data type should match its data type in table's schema: Key artist"),
    ("SELECT * FROM T WHERE artist = 'Ada' AND year IN [1, 'x']", "Key attribute's data type should match its data type in table's schema: Key year"),
    ("SELECT * FROM T WHERE artist IN ['Ada', 'Ada']", "Overlapping conditions with range keys are not supported in where clause"),
    ("SELECT * FROM T WHERE artist = 'Ada' AND (year > 1 OR year < 5)", "Overlapping conditions with range keys are not supported in where clause"),
    ("SELECT * FROM T WHERE artist IN [" + ",".join(f"'{i}'" for i in range(51)) + "]", "Too many decomposed read operations for a given query."),
    ("SELECT * FROM T.\"nope\" WHERE artist = 'Ada'", "The table does not have the specified index"),
    ("SELECT * FROM T.\"composed\" WHERE genre = 'g0'", "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys."),
    ("SELECT awards FROM T.\"genre-keys\" WHERE genre = 'g0'", "One or more parameter values were invalid: Global secondary index genre-keys does not project [awards]"),
    ("SELECT zz, year, aa, mm FROM T.\"genre-keys\" WHERE genre = 'g0'", "One or more parameter values were invalid: Global secondary index genre-keys does not project [zz, aa, mm]"),
    ("SELECT year FROM T.\"genre-keys\" WHERE genre = 'g0' AND (zz = 1 OR aa = 2 OR mm = 3)", "One or more parameter values were invalid: Secondary index genre-keys does not project one or more filter attributes: [zz, aa, mm]"),
    ("SELECT * FROM T WHERE artist.x = 'Ada'", "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: artist"),
    ("INSERT INTO T VALUE {'artist': 'x'}", "Key attribute should be present in the item: Key year"),
    ("INSERT INTO T VALUE {'artist': 'x', 'year': 'y'}", "Key attribute's data type should match its data type in table's schema: Key year"),
    ("UPDATE T SET n = 1", MANDATORY),
    ("UPDATE T SET n = 1 WHERE artist = 'Ada'", MANDATORY),
    ("UPDATE T SET n = 1 WHERE artist = 'Ada' AND year IN [2000]", MANDATORY),
    ("UPDATE T SET n = 1 WHERE artist = 'Ada' AND year = 2000 AND artist = 'Bob'", "Multiple conditions on same key artist. Only single item Update/Insert/Delete are supported"),
    ("UPDATE T SET year = 1 WHERE artist = 'Ada' AND year = 2000", "One or more parameter values were invalid: Cannot update attribute year. This attribute is part of the key"),
    ("UPDATE T.\"by-genre\" SET n = 1 WHERE artist = 'Ada' AND year = 2000", "This operation is not supported on an index"),
    ("DELETE FROM T WHERE artist = 'x' AND year = 1 RETURNING MODIFIED OLD *", "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements."),
    ("EXISTS(SELECT * FROM T WHERE artist = 'Ada' AND year = 2000 AND n = 1)", "EXISTS can only be used in ExecuteTransaction write requests."),
])
def test_refusals(sql, statement, message):
    refused(sql, statement, "ValidationException", message)


def test_refusals_that_depend_on_the_request(sql):
    refused(sql, "SELECT * FROM T.\"by-genre\" WHERE genre = 'g0'", "ValidationException", "Strongly consistent read is not supported on Global Secondary Indexes", ConsistentRead=True)
    refused(sql, "SELECT * FROM T WHERE artist = ? AND year = ?", "ValidationException", "Number of parameters in request and statement don't match.", {"S": "Ada"})
    refused(sql, "SELECT * FROM no_such_table", "ResourceNotFoundException", "Requested resource not found")
    # A parameter is looked at before the statement, and operands before the table.
    refused(sql, "SELECT", "ValidationException", "The parameter cannot be converted to a numeric value: x", {"N": "x"})
    refused(sql, "SELECT * FROM no_such_table WHERE a < ?", "ValidationException",
            "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL", {"BOOL": True})


def test_an_item_is_inserted_once(sql):
    insert = "INSERT INTO T VALUE {'artist': 'once', 'year': 1, 'v': [1, null, {'x': true}]}"
    assert sql(insert)["Items"] == []
    refused(sql, insert, "DuplicateItemException", "Duplicate primary key exists in table")
    [item] = sql("SELECT v FROM T WHERE artist = 'once' AND year = 1", ConsistentRead=True)["Items"]
    assert item == {"v": {"L": [{"N": "1"}, {"NULL": True}, {"M": {"x": {"BOOL": True}}}]}}
    sql("DELETE FROM T WHERE artist = 'once' AND year = 1")
    sql(insert)
    sql("DELETE FROM T WHERE artist = 'once' AND year = 1")


def test_updates_and_what_they_return(sql):
    where = "WHERE artist = 'upd' AND year = 1"
    refused(sql, f"UPDATE T SET n = 1 {where}", "ConditionalCheckFailedException", "The conditional request failed")
    sql("INSERT INTO T VALUE {'artist': 'upd', 'year': 1, 'n': 1, 'l': [1], 'm': {'a': {'b': 1}, 'c': 2}, 's': <<'x'>>}")
    for change, returning, expected in [
        ("SET n = n + 5 - 2", "MODIFIED NEW", {"n": {"N": "4"}}),
        ("SET n = 10 - n", "MODIFIED OLD", {"n": {"N": "4"}}),
        ("SET l = list_append(l, ['y'])", "MODIFIED NEW", {"l": {"L": [{"N": "1"}, {"S": "y"}]}}),
        ("SET s = set_add(s, <<'y'>>)", "MODIFIED NEW", {"s": {"SS": ["x", "y"]}}),
        ("SET s = set_delete(s, <<'x'>>)", "MODIFIED NEW", {"s": {"SS": ["y"]}}),
        ("SET m.a.b = 7 REMOVE l[0]", "MODIFIED NEW", {"m": {"M": {"a": {"M": {"b": {"N": "7"}}}, "c": {"N": "2"}}}, "l": {"L": [{"S": "y"}]}}),
        ("REMOVE l REMOVE m", "MODIFIED NEW", None),
        ("SET o = if_not_exists(o, 3)", "ALL OLD", {"artist": {"S": "upd"}, "year": {"N": "1"}, "n": {"N": "6"}, "s": {"SS": ["y"]}}),
        ("REMOVE s", "ALL NEW", {"artist": {"S": "upd"}, "year": {"N": "1"}, "n": {"N": "6"}, "o": {"N": "3"}}),
    ]:
        assert sql(f"UPDATE T {change} {where} RETURNING {returning} *")["Items"] == ([expected] if expected else []), change
    failed = refused(sql, f"UPDATE T SET n = 0 {where} AND n = 7", "ConditionalCheckFailedException", "The conditional request failed",
                     ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert failed["Item"]["n"] == {"N": "6"}
    refused(sql, f"DELETE FROM T {where} AND n = 7", "ConditionalCheckFailedException", "The conditional request failed")
    [old] = sql(f"DELETE FROM T {where} AND n = 6 RETURNING ALL OLD *")["Items"]
    assert old["o"] == {"N": "3"}
    # What is not there is deleted with success, whatever the condition.
    assert sql(f"DELETE FROM T {where} AND n = 6 RETURNING ALL OLD *")["Items"] == []


def test_a_batch_answers_for_each_statement(songs):
    client, name = songs

    def batch(*statements, **options):
        statements = [s if isinstance(s, dict) else {"Statement": s.replace(" T", f' "{name}"')} for s in statements]
        return client.batch_execute_statement(Statements=statements, **options)

    read = batch(
        "SELECT year FROM T WHERE artist = 'Ada' AND year = 2000",
        "SELECT * FROM T WHERE artist = 'nobody' AND year = 1",
        "SELECT * FROM T WHERE artist = 'Ada'",
        "SLECT * FROM T",
        "SELECT * FROM no_such_table WHERE a = 1",
        {"Statement": f"SELECT title FROM \"{name}\" WHERE artist = ? AND year = ?", "Parameters": [{"S": "Ada"}, {"N": "2001"}], "ConsistentRead": True},
        ReturnConsumedCapacity="TOTAL")
    key_only = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
    assert read["Responses"] == [
        {"TableName": name, "Item": {"year": {"N": "2000"}}},
        {"TableName": name},
        {"Error": {"Code": "ValidationError", "Message": key_only}},
        {"Error": {"Code": "ValidationError", "Message": MALFORMED + "Expected data manipulation"}},
        {"Error": {"Code": "ResourceNotFound", "Message": "Requested resource not found"}},
        {"TableName": name, "Item": {"title": {"S": "t8"}}},
    ]
    assert [entry["CapacityUnits"] for entry in read["ConsumedCapacity"]] == [2.0]
    answer = batch(
        "INSERT INTO T VALUE {'artist': 'batch', 'year': 1}",
        "INSERT INTO T VALUE {'artist': 'Ada', 'year': 2000}",
        "UPDATE T SET x = 1 WHERE artist = 'batch' AND year = 2",
        {"Statement": f"UPDATE \"{name}\" SET x = 1 WHERE artist = 'Ada' AND year = 2001 AND x = 5", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
        "UPDATE T SET x = 1 WHERE artist = 'Bob' AND year = 2004 RETURNING MODIFIED NEW *",
        "DELETE FROM T WHERE artist = 'batch' AND year = 3",
        ReturnConsumedCapacity="INDEXES")
    written = answer["Responses"]
    assert [response.get("Error", {}).get("Code") for response in written] == [None, "DuplicateItem", "ConditionalCheckFailed", "ConditionalCheckFailed", None, None]
    assert all(response["TableName"] == name for response in written)
    assert written[3]["Error"]["Item"]["title"] == {"S": "t8"}
    assert written[4]["Item"] == {"x": {"N": "1"}}
    # A write that fails beside one that does not is in the total alone.
    [consumed] = answer["ConsumedCapacity"]
    indexes = [index for kind in ("Local", "Global") for index in consumed.get(f"{kind}SecondaryIndexes", {}).values()]
    assert consumed["CapacityUnits"] == consumed["Table"]["CapacityUnits"] + sum(index["CapacityUnits"] for index in indexes) + 3
    long = "x" * 3000
    small = "INSERT INTO T VALUE {'artist': 'batch', 'year': 4}"
    large = "INSERT INTO T VALUE {'artist': 'batch', 'year': 1, 'note': '" + long + "'}"
    assert batch(small, large, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"] == [{"TableName": name, "CapacityUnits": 4.0}]
    failed = batch("INSERT INTO T VALUE {'artist': 'batch', 'year': 4}", ReturnConsumedCapacity="TOTAL")
    assert "ConsumedCapacity" not in failed and failed["Responses"][0]["Error"]["Code"] == "DuplicateItem"
    batch("DELETE FROM T WHERE artist = 'batch' AND year = 4")
    batch("DELETE FROM T WHERE artist = 'batch' AND year = 1", "UPDATE T REMOVE x WHERE artist = 'Bob' AND year = 2004")


@pytest.mark.parametrize("statements, message", [
    (["SELECT * FROM T WHERE artist = 'Ada' AND year = 2000", "DELETE FROM T WHERE artist = 'x' AND year = 1"], "Read and write requests together in the same batch is not supported."),
    (["SELECT * FROM T WHERE artist = 'Ada' AND year = 2000"] * 2, "Provided list of item keys contains duplicates"),
])
def test_batches_that_are_refused(songs, statements, message):
    client, name = songs
    with pytest.raises(ClientError) as error:
        client.batch_execute_statement(Statements=[{"Statement": s.replace(" T", f' "{name}"')} for s in statements])
    assert error.value.response["Error"]["Message"] == message


def test_a_batch_has_25_statements_at_most(songs):
    client, name = songs
    statements = [{"Statement": f"DELETE FROM \"{name}\" WHERE artist = 'many' AND year = {i}"} for i in range(26)]
    assert len(client.batch_execute_statement(Statements=statements[:25])["Responses"]) == 25
    with pytest.raises(ClientError) as error:
        client.batch_execute_statement(Statements=statements)
    assert "Member must have length less than or equal to 25" in error.value.response["Error"]["Message"]


def test_a_page_ends_after_a_megabyte(songs, sql):
    for year in range(8):
        sql("INSERT INTO T VALUE {'artist': ?, 'year': ?, 'big': ?}", {"S": f"big{year % 2}"}, {"N": str(year)}, {"S": "x" * 300_000})
    pages, token = [], {}
    while True:
        page = sql("SELECT * FROM T WHERE artist IN ['big0', 'big1']", **token)
        pages.append(years(page))
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert sum(pages, []) == [0, 2, 4, 6, 1, 3, 5, 7]
    assert len(pages) > 1 and max(map(len, pages)) <= 8
    for year in range(8):
        sql("DELETE FROM T WHERE artist = ? AND year = ?", {"S": f"big{year % 2}"}, {"N": str(year)})


def test_an_item_is_at_most_400_kilobytes(sql):
    def insert(size):
        # Names and values count: artist 6 + 4, year 4 + 2, v 1.
        sql("INSERT INTO T VALUE {'artist': 'huge', 'year': 1, 'v': ?}", {"S": "x" * (size - 17)})

    insert(409600)
    sql("DELETE FROM T WHERE artist = 'huge' AND year = 1")
    with pytest.raises(ClientError) as error:
        insert(409601)
    assert error.value.response["Error"]["Message"] == "Item size has exceeded the maximum allowed size"


def transaction(songs, *statements, **options):
    client, name = songs
    statements = [s if isinstance(s, dict) else {"Statement": s} for s in statements]
    for statement in statements:
        statement["Statement"] = statement["Statement"].replace("T.", f'"{name}".').replace(" T", f' "{name}"')
    return client.execute_transaction(TransactStatements=statements, **options)


def test_a_transaction_writes_all_or_nothing(songs, sql):
    one, two = "artist = 'txn' AND year = 1", "artist = 'txn' AND year = 2"
    transaction(songs, "INSERT INTO T VALUE {'artist': 'txn', 'year': 1, 'n': 1}", "INSERT INTO T VALUE {'artist': 'txn', 'year': 2, 'n': 2}")
    with pytest.raises(ClientError) as error:
        transaction(songs, f"UPDATE T SET n = 5 WHERE {one}", "INSERT INTO T VALUE {'artist': 'txn', 'year': 2}",
                    "UPDATE T SET n = 5 WHERE artist = 'txn' AND year = 3",
                    {"Statement": "EXISTS(SELECT * FROM T WHERE artist = 'Ada' AND year = 2000 AND title = 'x')", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    reasons = error.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "DuplicateItem", "ConditionalCheckFailed", "ConditionalCheckFailed"]
    assert reasons[3]["Item"]["title"] == {"S": "t9"}
    assert sql(f"SELECT n FROM T WHERE {one}", ConsistentRead=True)["Items"] == [{"n": {"N": "1"}}]
    answer = transaction(songs, f"UPDATE T SET n = n + 4 WHERE {one} AND n = 1", f"DELETE FROM T WHERE {two}",
                         "EXISTS(SELECT * FROM T WHERE artist = 'Ada' AND year = 2000 AND nope IS MISSING)", ReturnConsumedCapacity="TOTAL")
    assert answer["Responses"] == []
    assert [entry["WriteCapacityUnits"] for entry in answer["ConsumedCapacity"]] == [6.0]
    read = transaction(songs, f"SELECT n FROM T WHERE {one}", f"SELECT * FROM T WHERE {two}", ReturnConsumedCapacity="TOTAL")
    assert read["Responses"] == [{"Item": {"n": {"N": "5"}}}, {}]
    assert [entry["ReadCapacityUnits"] for entry in read["ConsumedCapacity"]] == [4.0]
    sql(f"DELETE FROM T WHERE {one}")


def test_a_transaction_happens_once_for_its_token(songs, sql):
    sql("INSERT INTO T VALUE {'artist': 'token', 'year': 1, 'n': 0}")
    step = "UPDATE T SET n = n + 1 WHERE artist = 'token' AND year = 1"
    for _ in range(3):
        transaction(songs, step, ClientRequestToken="partiql-token")
    assert sql("SELECT n FROM T WHERE artist = 'token' AND year = 1", ConsistentRead=True)["Items"] == [{"n": {"N": "1"}}]
    with pytest.raises(ClientError) as error:
        transaction(songs, step.replace("+ 1", "+ 2"), ClientRequestToken="partiql-token")
    assert error.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"
    sql("DELETE FROM T WHERE artist = 'token' AND year = 1")


IN_FIRST = "Validation failed in TransactStatements[0]: "


@pytest.mark.parametrize("statements, message", [
    (["SELECT * FROM T WHERE artist = 'Ada'"], IN_FIRST + "Select statements within ExecuteTransaction must specify the primary key in the where clause."),
    (["SELECT * FROM T WHERE artist = 'Ada' AND year = 2000 AND genre = 'g0'"], IN_FIRST + "Select statements within ExecuteTransaction must specify the primary key in the where clause."),
    (["SELECT * FROM T.\"by-genre\" WHERE genre = 'g0'"], IN_FIRST + "Reads on indices are not supported within transactions."),
    (["EXISTS(SELECT * FROM T.\"by-genre\" WHERE genre = 'g0' AND year = 1)"], IN_FIRST + "Operations on indices are not supported in transactions"),
    (["SELECT * FROM T WHERE artist IN ['Ada', 'Ada'] AND year = 2000"], IN_FIRST + "Overlapping conditions with range keys are not supported in where clause"),
    (["EXISTS(SELECT * FROM T WHERE artist = 'Ada' AND year = 2000)"], IN_FIRST + "EXISTS() must contain a single item read with additional condition"),
    (["UPDATE T SET n = 1 WHERE artist = 'Ada' AND year = 2000 RETURNING ALL NEW *"], IN_FIRST + "RETURNING clause is not supported in ExecuteTransaction."),
    (["UPDATE T SET n = n + [1] WHERE artist = 'Ada' AND year = 2000"], IN_FIRST + "Incorrect operand type for operator or function; operator or function: +, operand type: L"),
    (["SLECT * FROM T"], MALFORMED + "Expected data manipulation"),
    (["SELECT * FROM T WHERE artist = 'Ada' AND year = 2000"] * 2, "Transaction request cannot include multiple operations on one item"),
    (["SELECT * FROM T WHERE artist = 'Ada' AND year = 2000", "DELETE FROM T WHERE artist = 'x' AND year = 1"],
     "ExecuteTransaction API does not support both read and write operations in the same request."),
])
def test_transactions_that_are_refused(songs, statements, message):
    with pytest.raises(ClientError) as error:
        transaction(songs, *statements)
    assert (error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]) == ("ValidationException", message)


def test_statements_that_do_not_fit_their_tables_cancel_the_transaction(songs):
    mismatch = "The provided key element does not match the schema"
    update = "UPDATE T SET n = 1 WHERE "
    with pytest.raises(ClientError) as error:
        transaction(songs, update + "artist = 'Ada'", update + "artist = 'Ada' AND year = 'x'", update + "artist = 'Ada' AND year = 1 AND artist = 'Bob'",
                    "INSERT INTO T VALUE {'artist': 'x'}", "DELETE FROM no_such_table WHERE a = 1", update + "artist = 'Bob' AND year = 1")
    reasons = error.value.response["CancellationReasons"]
    assert [(reason["Code"], reason.get("Message")) for reason in reasons] == [
        ("ValidationError", mismatch), ("ValidationError", mismatch), ("ValidationError", mismatch),
        ("ValidationError", "One or more parameter values were invalid: Missing the key year in the item"),
        ("ResourceNotFound", "Requested resource not found"), ("None", None)]
