"""What exports of events promise: every event once, as it is, in every format, whatever the size of pages."""

import csv
import io
import json
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from footfall.model.columns import COLUMNS
from footfall.query.export import events as export_events
from footfall.store.arrow import table
from tests.contract.acme import DAY, FIRST, RANGE, assert_problem
from tests.truth import columns_of, make_events

PATH = "/api/v1/export/events"
ALL = RANGE | {"include_bots": "true"}
ZONE = "Asia/Kolkata"
NAMES = [column.name for column in COLUMNS if column.role not in ("private", "position")]
IDS = ("visitor_id", "session_id")


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(export_events, "PAGE_ROWS", 110)
    monkeypatch.setattr(export_events, "_FIRST_ROWS", 50)
    monkeypatch.setattr(export_events, "_FEWEST", 5)


def export(acme, kind="ndjson", key=None, accept="identity", **params):
    asked = ALL | {"format": kind} | params
    return acme.console.get(PATH, key or acme.key, asked, {"Accept-Encoding": accept})


def lines(answer):
    assert answer.status_code == 200, answer.text
    found = [json.loads(line) for line in answer.content.decode().split("\n")[:-1]]
    assert answer.headers["Footfall-Rows"] == str(len(found))
    return found


def ids(answer):
    return [line["event_id"] for line in lines(answer)]


def iso(at, zone):
    return (
        datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat(timespec="milliseconds") if at else None
    )


def expected(events, workspace, zone="UTC"):
    """The events of the zone's days in order, as NDJSON has them."""
    days = [datetime.fromisoformat(RANGE[name]).replace(tzinfo=ZoneInfo(zone)) for name in RANGE]
    start, end = (round(day.timestamp() * 1000) for day in days)
    mine = [
        event
        for event in events
        if event["workspace_id"] == workspace and start <= event["occurred_at"] < end + DAY
    ]
    mine.sort(key=lambda e: (e["site_id"], e["occurred_at"], e["shard"], e["seq"]))
    return [{name: shown(name, event[name], zone) for name in NAMES} for event in mine]


def shown(name, value, zone):
    if name in IDS:
        return f"{value:016x}" if value else None
    if name in ("event_id", "via_click_id"):
        return str(UUID(bytes=value)) if any(value) else None
    if name in ("occurred_at", "occurred_at_original", "received_at"):
        return iso(value, zone)
    if name == "properties":
        return json.loads(value or "{}")
    return value


@pytest.mark.parametrize("pages", ["small", "usual"])
def test_ndjson_is_the_events(acme, pages, request):
    if pages == "small":
        request.getfixturevalue("small_pages")
    assert lines(export(acme, timezone=ZONE)) == expected(acme.events, acme.acme, ZONE)


@pytest.mark.parametrize("pages", ["small", "usual"])
def test_csv_is_the_events(acme, pages, request):
    if pages == "small":
        request.getfixturevalue("small_pages")
    answer = export(acme, "csv", timezone=ZONE)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(answer.content.decode(), newline=""))
    assert header == NAMES
    found = [dict(zip(NAMES, row, strict=True)) for row in rows]
    wanted = expected(acme.events, acme.acme, ZONE)
    for row, event in zip(found, wanted, strict=True):
        assert json.loads(row.pop("properties")) == event.pop("properties")
        assert row == {name: as_cell(value) for name, value in event.items()}


def as_cell(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in tuple("=+-@\t\r\n") else text


@pytest.mark.parametrize("pages", ["small", "usual"])
def test_parquet_is_the_events(acme, pages, request):
    if pages == "small":
        request.getfixturevalue("small_pages")
    answer = export(acme, "parquet", timezone=ZONE)
    file = pq.ParquetFile(io.BytesIO(answer.content))
    assert file.num_row_groups == (1 if pages == "usual" else file.num_row_groups)
    rows = file.read().to_pylist()
    assert int(answer.headers["Footfall-Rows"]) == len(rows)
    wanted = expected(acme.events, acme.acme, ZONE)
    for row, event in zip(rows, wanted, strict=True):
        for name in ("occurred_at", "occurred_at_original", "received_at"):
            assert row.pop(name) == (event[name] and datetime.fromisoformat(event[name]))
            del event[name]
        assert json.loads(row.pop("properties")) == event.pop("properties")
        assert row.pop("latitude") == (event.pop("latitude") and pytest.approx(52.52))
        assert row == event


def test_memory_holds_pages_and_not_the_file(acme, small_pages):
    file = pq.ParquetFile(io.BytesIO(export(acme, "parquet").content))
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(groups) == 500
    assert max(groups) <= 110


def test_an_export_without_events_is_a_file_without_rows(acme):
    days = {"start_date": "2020-01-01", "end_date": "2020-01-02"}
    assert lines(export(acme, **days)) == []
    assert export(acme, "csv", **days).text == ",".join(NAMES) + "\r\n"
    table = pq.read_table(io.BytesIO(export(acme, "parquet", **days).content))
    assert (table.num_rows, table.column_names) == (0, NAMES)


def test_a_file_has_a_name_and_is_not_kept_by_caches(acme):
    headers = export(acme, "csv").headers
    assert headers["Content-Disposition"] == 'attachment; filename="events_2026-03-01_2026-03-07.csv"'
    assert headers["Cache-Control"] == "private, no-store"


# Which events


def test_no_key_sees_the_events_of_another_workspace(acme):
    ours, theirs = ids(export(acme)), ids(export(acme, key=acme.others_key))
    assert len(ours) == len(theirs) == 500
    assert not set(ours) & set(theirs)
    event = lines(export(acme, key=acme.others_key))[0]
    cursor = f"{event['occurred_at']},{event['event_id']}"
    assert_problem(export(acme, cursor=cursor), 400, "cursor")


def test_only_a_key_that_may_read_exports(acme):
    ask = acme.console.get
    assert_problem(ask(PATH, None, {"format": "csv"}), 401)
    assert_problem(ask(PATH, acme.console.key(acme.acme, "ingest"), {"format": "csv"}), 403)
    body = {"format": "csv", "metrics": ["events"]}
    assert_problem(acme.console.post("/v1/export", body), 401)


def test_filters_and_bots_are_those_of_the_reports(acme, small_pages):
    mine = [event for event in acme.events if event["workspace_id"] == acme.acme]
    found = export(acme, include_bots="false", event_type="click,page_view", site_id="-site_1")
    wanted = [
        event
        for event in mine
        if event["event_type"] in ("click", "page_view")
        and event["site_id"] != "site_1"
        and not event["is_bot"]
    ]
    assert ids(found) == [event["event_id"] for event in expected(wanted, acme.acme)]
    entered = lines(export(acme, include_bots="false", entry_page="/preise"))
    assert entered
    assert {event["session_id"] for event in entered} <= {
        f"{event['session_id']:016x}" for event in mine if event["page_path"] == "/preise"
    }


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"format": "xlsx"}, "format"),
        ({"format": ""}, "format"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "2026-03-01T00:00:00Z,nobody"}, "cursor"),
        ({"cursor": "2026-03-01T00:00:00,01890a5d-ac96-774b-bcce-b302099a8057"}, "cursor"),
        ({"cursor": "2026-03-01T00:00:00Z,01890a5d-ac96-774b-bcce-b302099a8057"}, "cursor"),
        ({"cursor": "9999-12-31T23:59:59.999999-23:00,01890a5d-ac96-774b-bcce-b302099a8057"}, "cursor"),
        ({"formats": "csv"}, "formats"),
        ({"country": "'; DROP TABLE events; --", "timezone": "Mars"}, "timezone"),
    ],
)
def test_a_wrong_parameter_is_named(acme, params, field):
    assert_problem(export(acme, **params), 400, field)


def test_a_format_is_needed(acme):
    assert_problem(acme.console.get(PATH, acme.key, RANGE), 400, "format")


def test_what_is_ignored_is_said(acme):
    assert "offset" in export(acme, offset="3").headers["Footfall-Warnings"]


# In parts


@pytest.mark.parametrize("limit", [1, 90, 499, 500])
def test_parts_are_the_whole(acme, small_pages, limit):
    whole, found, cursor = ids(export(acme)), [], {}
    for number in range(500 // limit + 1):
        if limit == 1 and number > 4:
            assert found == whole[: len(found)]
            return
        answer = export(acme, limit=limit, **cursor)
        found += ids(answer)
        if "Footfall-Next-Cursor" not in answer.headers:
            break
        assert len(ids(answer)) == limit
        cursor = {"cursor": answer.headers["Footfall-Next-Cursor"]}
    assert found == whole


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_broken_download_goes_on_after_its_last_complete_row(acme, small_pages, kind):
    whole = export(acme, kind, timezone=ZONE).content.decode()
    end = "\r\n" if kind == "csv" else "\n"
    for cut in (2_000, 100_000):
        kept = whole[:cut].rpartition(end)[0] + end
        if kind == "csv":
            row = dict(zip(NAMES, list(csv.reader(io.StringIO(kept, newline="")))[-1], strict=True))
        else:
            row = json.loads(kept.rstrip("\n").rpartition("\n")[2])
        rest = export(acme, kind, timezone=ZONE, cursor=f"{row['occurred_at']},{row['event_id']}")
        text = rest.content.decode()
        assert kept + (text.partition(end)[2] if kind == "csv" else text) == whole


def test_a_cursor_can_be_written_with_a_plus_that_nobody_escaped(acme):
    event = lines(export(acme, timezone=ZONE))[10]
    cursor = f"{event['occurred_at'].replace('+', ' ')},{event['event_id']}"
    assert ids(export(acme, cursor=cursor)) == ids(export(acme))[11:]


def test_events_of_one_instant_are_each_there_once(acme, small_pages):
    console, workspace = acme.console, acme.console.workspace("sudden")
    events = make_events(3, 200, FIRST, FIRST + 1, [workspace])
    console.insert(columns_of(events))
    answer = console.get(PATH, console.key(workspace, "read"), ALL | {"format": "ndjson"})
    assert lines(answer) == expected(events, workspace)


def test_events_that_come_in_meanwhile_make_neither_gaps_nor_doubles(acme, small_pages):
    console, workspace = acme.console, acme.console.workspace("busy")
    key = console.key(workspace, "read")
    before = make_events(1, 300, FIRST, FIRST + DAY, [workspace])
    console.insert(columns_of(before))
    found, cursor, number = [], {}, 300
    while True:
        answer = console.get(PATH, key, ALL | {"format": "ndjson", "limit": 70} | cursor)
        found += ids(answer)
        if "Footfall-Next-Cursor" not in answer.headers:
            break
        cursor = {"cursor": answer.headers["Footfall-Next-Cursor"]}
        if number < 600:
            more = make_events(number, 50, FIRST, FIRST + DAY, [workspace], seq=number)
            console.insert(columns_of(more))
            number += 50
    assert len(found) == len(set(found))
    assert {event["event_id"] for event in expected(before, workspace)} <= set(found)


def test_one_file_is_what_there_was_when_it_began(acme, small_pages):
    console, workspace = acme.console, acme.console.workspace("busier")
    key = console.key(workspace, "read")
    before = make_events(1, 300, FIRST, FIRST + DAY, [workspace])
    console.insert(columns_of(before))
    busy = console.with_store(InsertsMeanwhile(console, workspace))
    assert lines(busy.get(PATH, key, ALL | {"format": "ndjson"})) == expected(before, workspace)
    assert len(ids(console.get(PATH, key, ALL | {"format": "ndjson"}))) > 300


class InsertsMeanwhile:
    """A store that gets more events, of the same shard too, before every page."""

    def __init__(self, console, workspace):
        self._store = console.store
        self._workspace = workspace
        self._number = 1000

    async def arrow(self, sql, parameters=None, **limits):
        found = await self._store.arrow(sql, parameters, **limits)
        for seed in (1, self._number):
            events = make_events(seed, 20, FIRST, FIRST + DAY, [self._workspace], seq=self._number)
            for event in events:
                event["event_id"] = event["seq"].to_bytes(8) + seed.to_bytes(8)
            await self._store.insert(table(columns_of(events)), f"{seed}-{self._number}")
        self._number += 20
        return found

    def __getattr__(self, name):
        return getattr(self._store, name)


# On its way


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip", "gzip"),
        ("zstd;q=0, gzip;q=0", None),
        ("*", "zstd"),
        ("br", None),
        ("", None),
        (";q=x,,zstd;q=", "zstd"),
    ],
)
def test_text_is_compressed_as_the_client_likes_it(acme, accept, encoding):
    answer = export(acme, accept=accept)
    plain = export(acme).content
    assert answer.headers.get("Content-Encoding") == encoding
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert answer.content == plain  # the client has undone it


def test_parquet_is_not_compressed_twice(acme):
    assert "Content-Encoding" not in export(acme, "parquet", accept="gzip, zstd").headers
