"""The answer of a query as a file: the same rows as `POST /v1/query` gives."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from footfall.query.export import answers
from tests.contract.acme import assert_problem

RANGE = ["2026-03-01", "2026-03-07"]
QUERIES = [
    {"metrics": ["visitors", "events"], "dimensions": ["time:day"]},
    {"metrics": ["events", "percentage"], "dimensions": ["country_code", "browser"]},
    {"metrics": ["revenue", "clicks", "bounce_rate"], "dimensions": ["time:day", "property:plan"]},
    {"metrics": ["visitors", "conversions"], "dimensions": ["asn", "is_bot"], "include": {"bots": True}},
    {"metrics": ["events", "revenue"], "compare": "previous_period", "dimensions": ["device_type"]},
    {"metrics": ["events"]},
    {"metrics": ["events"], "dimensions": ["link_id"], "filters": [["is", "link_id", ["nothing"]]]},
]


def ask(acme, path, key=None, **body):
    return acme.console.post(path, {"date_range": RANGE} | body, key or acme.key)


def rows_of(acme, query):
    """What the query answers, a dictionary a row."""
    answer = ask(acme, "/v1/query", **query)
    assert answer.status_code == 200, answer.text
    return [row_of(row, query) for row in answer.json()["results"]]


def row_of(row, query):
    found = dict(zip(query.get("dimensions", []), row["dimensions"], strict=True))
    found |= dict(zip(query["metrics"], row["metrics"], strict=True))
    if "compare" in query:
        for place, name in enumerate(query["metrics"]):
            found[f"previous:{name}"] = row["comparison"]["metrics"][place]
            found[f"change:{name}"] = row["comparison"]["change"][place]
    return found


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_ndjson_has_the_rows_of_the_answer(acme, query):
    answer = ask(acme, "/v1/export", format="ndjson", **query)
    assert answer.status_code == 200, answer.text
    found = [json.loads(line) for line in answer.text.split("\n")[:-1]]
    assert found == rows_of(acme, query)
    assert answer.headers["Footfall-Rows"] == str(len(found))


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_csv_has_the_rows_of_the_answer(acme, query):
    answer = ask(acme, "/v1/export", format="csv", **query)
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    wanted = rows_of(acme, query)
    assert len(rows) == len(wanted)
    for row, one in zip(rows, wanted, strict=True):
        assert header == list(one)
        assert [read(cell, value) for cell, value in zip(row, one.values(), strict=True)] == list(
            one.values()
        )


def read(cell, like):
    """A cell as the type it has in the answer."""
    match like:
        case None:
            return cell or None
        case bool():
            return {"true": True, "false": False}[cell]
        case int() | float():
            return type(like)(cell)
        case dict():
            return json.loads(cell)
        case _:
            return cell


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_parquet_has_the_rows_of_the_answer(acme, query):
    answer = ask(acme, "/v1/export", format="parquet", **query)
    rows = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    for row in rows:
        row |= {
            name: json.loads(value)
            for name, value in row.items()
            if "revenue" in name and "change" not in name
        }
    assert rows == rows_of(acme, query)


def test_the_rows_are_those_of_the_key_s_workspace(acme):
    query = {"metrics": ["events"], "dimensions": ["link_id"], "format": "csv"}
    ours, theirs = (ask(acme, "/v1/export", key, **query).text for key in (acme.key, acme.others_key))
    assert acme.link.id in ours
    assert acme.others_link.id in theirs
    assert acme.link.id not in theirs


def test_more_rows_than_a_file_can_have_are_refused_and_a_part_of_them_is_not(acme, monkeypatch):
    query = {"metrics": ["events"], "dimensions": ["link_id"], "format": "ndjson"}
    whole = ask(acme, "/v1/export", **query).text.splitlines()
    monkeypatch.setattr(answers, "MAX_EXPORT_ROWS", 5)
    body = assert_problem(ask(acme, "/v1/export", pagination={"limit": 5}, **query), 400, "pagination.limit")
    assert str(len(whole)) in body["detail"]
    part = ask(acme, "/v1/export", pagination={"limit": 3, "offset": 2}, **query)
    assert part.text.splitlines() == whole[2:5]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"format": "xlsx"}, "format"),
        ({}, "format"),
        ({"format": "csv", "metrics": ["nothing"]}, "metrics"),
        ({"format": "csv", "pagination": {"limit": 100_001}}, "pagination.limit"),
        ({"format": "csv", "compression": "zip"}, "compression"),
    ],
)
def test_a_wrong_field_is_named(acme, body, field):
    problem = assert_problem(ask(acme, "/v1/export", **{"metrics": ["events"]} | body), 400, field)
    if body.get("format") == "xlsx":
        assert "csv, ndjson, parquet" in problem["detail"]


def test_warnings_are_in_a_header(acme):
    answer = ask(acme, "/v1/export", format="csv", metrics=["visitors"])
    assert "visitors without an id" in answer.headers["Footfall-Warnings"]
