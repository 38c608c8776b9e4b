"""A real server: what went in through the door comes out as a file."""

import csv
import io
import json
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from tests.e2e.serving import serving, until

PATH = "/api/v1/export/events"
TEXT = '=HYPERLINK("https://example.com")'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("export") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def sent(server):
    """Ids of events, in the order in which they were sent."""
    events = [
        {"event_id": str(uuid4()), "event_type": "signup", "properties": {"number": number, "text": TEXT}}
        for number in range(50)
    ]
    answer = server.door.post("/v1/events", json={"events": events})
    assert answer.json()["accepted"] == 50, answer.text
    until(lambda: server.count("signup") == 50)
    return [event["event_id"] for event in events]


def export(server, kind, **params):
    answer = server.console.get(PATH, params={"format": kind, "event_type": "signup"} | params)
    assert answer.status_code == 200, answer.text
    return answer


def test_every_format_has_every_event(server, sent):
    lines = export(server, "ndjson").text.splitlines()
    rows = csv.DictReader(io.StringIO(export(server, "csv").text, newline=""))
    table = pq.read_table(io.BytesIO(export(server, "parquet").content))
    by_id = {event["event_id"]: event["properties"] for event in map(json.loads, lines)}
    assert by_id == {event_id: {"number": number, "text": TEXT} for number, event_id in enumerate(sent)}
    assert {row["event_id"]: json.loads(row["properties"]) for row in rows} == by_id
    columns = zip(table["event_id"].to_pylist(), table["properties"].to_pylist(), strict=True)
    assert {event_id: json.loads(properties) for event_id, properties in columns} == by_id


def test_it_goes_on_where_it_broke_off(server, sent):
    whole = export(server, "ndjson").text
    last = json.loads(whole.splitlines()[19])
    rest = export(server, "ndjson", cursor=f"{last['occurred_at']},{last['event_id']}").text
    assert "\n".join(whole.splitlines()[20:]) + "\n" == rest
    assert len(sent) == 50


def test_a_query_as_a_file_cannot_run_in_a_spreadsheet(server, sent):
    question = {
        "metrics": ["events"],
        "dimensions": ["property:text"],
        "filters": [["is", "event_type", ["signup"]]],
    }
    answer = server.console.post("/v1/export", json=question | {"format": "csv"})
    assert list(csv.reader(io.StringIO(answer.text, newline=""))) == [
        ["property:text", "events"],
        [f"'{TEXT}", str(len(sent))],
    ]


def test_what_was_exported_is_counted(server, sent):
    export(server, "csv")
    scraped = server.console.get("/metrics").text
    assert 'footfall_export_rows_total{format="csv"}' in scraped
    assert 'footfall_export_bytes_total{format="csv"}' in scraped
    assert sent
