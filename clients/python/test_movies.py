"""Real input: the movies of vega_datasets, queried by index, against a plain computation."""

import json
import os
from decimal import Decimal

import pytest
from boto3.dynamodb.conditions import Attr, Key

from conftest import make_table


MOVIES = os.environ.get("ZENOBE_MOVIES", "")
pytestmark = pytest.mark.skipif(
    not os.path.exists(MOVIES) and os.environ.get("CI") != "true", reason="npm, which the movies come from, is not installed")


def load_movies():
    """The movies as items: no empty values, decimals for floats, a number as the key."""
    with open(MOVIES, encoding="utf-8") as file:
        movies = json.load(file, parse_float=Decimal)
    rows = []
    for number, row in enumerate(movies):
        item = {name.replace(" ", "_"): value for name, value in row.items() if value is not None}
        rows.append({**item, "id": number, "Title": str(row["Title"] or "?")})
    return rows


@pytest.fixture(scope="module")
def movies(dynamodb, resource):
    name = "movies"
    make_table(dynamodb, name, [("Title", "S"), ("id", "N")], [("Major_Genre", "S"), ("IMDB_Rating", "N")],
               GlobalSecondaryIndexes=[{
                   "IndexName": "by-genre",
                   "KeySchema": [{"AttributeName": "Major_Genre", "KeyType": "HASH"}, {"AttributeName": "IMDB_Rating", "KeyType": "RANGE"}],
                   "Projection": {"ProjectionType": "ALL"}}])
    rows = load_movies()
    table = resource.Table(name)
    with table.batch_writer() as batch:
        for row in rows:
            batch.put_item(Item=row)
    yield table, rows
    table.delete()


def all_pages(operation, **parameters):
    items = []
    while True:
        page = operation(**parameters)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def by_id(rows):
    return sorted(rows, key=lambda row: row["id"])


def test_a_scan_returns_every_movie_as_it_was(movies):
    table, rows = movies
    assert len(rows) > 3000
    assert by_id(all_pages(table.scan)) == by_id(rows)


def test_every_genre_by_rating(movies):
    table, rows = movies
    for genre in sorted({row["Major_Genre"] for row in rows if "Major_Genre" in row}):
        expected = [row for row in rows if row.get("Major_Genre") == genre and "IMDB_Rating" in row]
        found = all_pages(table.query, IndexName="by-genre", KeyConditionExpression=Key("Major_Genre").eq(genre), Limit=100)
        assert by_id(found) == by_id(expected)
        ratings = [row["IMDB_Rating"] for row in found]
        assert ratings == sorted(ratings)


def test_good_comedies_with_a_filter(movies):
    table, rows = movies
    found = all_pages(
        table.query, IndexName="by-genre", ScanIndexForward=False,
        KeyConditionExpression=Key("Major_Genre").eq("Comedy") & Key("IMDB_Rating").gte(Decimal("8")),
        FilterExpression=Attr("US_Gross").gt(50_000_000) & Attr("Director").exists())
    expected = [row for row in rows if row.get("Major_Genre") == "Comedy" and row.get("IMDB_Rating", 0) >= 8
                and row.get("US_Gross", 0) > 50_000_000 and "Director" in row]
    assert expected and by_id(found) == by_id(expected)


def test_a_filtered_scan(movies):
    table, rows = movies
    found = all_pages(table.scan, FilterExpression=Attr("Title").contains("Star") & ~Attr("MPAA_Rating").is_in(["R", "Not Rated"]),
                      ProjectionExpression="id, Title")
    expected = [{"id": row["id"], "Title": row["Title"]} for row in rows
                if "Star" in row["Title"] and row.get("MPAA_Rating") not in ("R", "Not Rated")]
    assert by_id(found) == by_id(expected)
