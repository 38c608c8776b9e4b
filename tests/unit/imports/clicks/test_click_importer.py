"""Imports against the real parts: what is sent twice, broken off or refused is stored exactly once."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from footfall import main
from footfall.errors import LogFull, Retryable
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER
from footfall.imports import intake
from footfall.imports.clicks.importer import ClickImporter
from footfall.imports.intake import Intake
from footfall.imports.reader import read_chunks
from footfall.model.record import decode
from footfall.settings import load
from footfall.state.imported_files import ImportedFiles
from footfall.state.tables import open_state
from footfall.tenants.model import Workspace
from tests.contract.access_log import console

pytestmark = pytest.mark.anyio

SAMPLE = Path(__file__).parents[4] / "examples" / "data" / "usagov_clicks.jsonl"
IMPORT = "/api/v1/imports/clicks"
BOOKS = {"received": 3560, "stored": 3440, "rejected": {"heartbeat": 120}, "backfilled": 3560}
IN_2012 = {"start_date": "2012-03-16", "end_date": "2012-03-16", "include_bots": "true"}


def body(lines, occurrences=None):
    return {"format": "bitly", "lines": lines, "occurrences": occurrences or [1] * len(lines)}


def line(number=1, **changes):
    click = {"h": f"code{number}", "hh": "go.example", "u": "https://example.com/", "t": 1331923247 + number}
    return json.dumps(click | changes)


def sample_chunks(most_lines):
    with SAMPLE.open("rb") as raw:
        return list(read_chunks(raw, most_lines))


async def send(http, lines, occurrences=None):
    answer = await http.post(IMPORT, json=body(lines, occurrences))
    assert answer.status_code == 202, answer.text
    return answer.json()


async def send_all(http, chunks):
    """All chunks of a file; what became of its lines."""
    totals = Counter()
    for chunk in chunks:
        answer = await send(http, chunk.lines, chunk.occurrences)
        totals.update({name: answer[name] for name in ("accepted", "present", "repeated", "links_created")})
        totals.update(answer["rejected"])
    return {name: count for name, count in totals.items() if count}


async def overview(http, **parameters):
    answer = await http.get("/api/v1/analytics/overview", params=IN_2012 | parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def ledger(data):
    """What became of all that was ever received; nothing is in flight between two consoles."""
    async with console(data) as http:
        books = (await http.get("/api/v1/ledger")).json()["data"]
    assert books["balanced"]
    return {name: books[name] for name in ("received", "stored", "rejected", "backfilled")}


async def stored(http, expected):
    """Waits until as many clicks are in the reports; then there must not be more either."""
    async with asyncio.timeout(30):
        while (found := await overview(http))["clicks"] < expected:
            await asyncio.sleep(0.05)
    return found


async def test_the_real_hour_is_imported_once_however_often_it_is_sent(tmp_path):
    async with console(tmp_path) as http:
        first = await send_all(http, sample_chunks(5000))
        assert first == {"accepted": 3440, "links_created": 768, "heartbeat": 120}
        # At once: the clicks are in the log, but perhaps not in the store.
        assert await send_all(http, sample_chunks(5000)) == {"present": 3440, "repeated": 3560}
        found = await stored(http, 3440)
        assert (found["clicks"], found["links"], found["visitors"]) == (3440, 768, 0)
        # And when they are stored.
        assert await send_all(http, sample_chunks(5000)) == {"present": 3440, "repeated": 3560}
    async with console(tmp_path) as http:
        assert (await overview(http))["clicks"] == 3440
        assert await send_all(http, sample_chunks(5000)) == {"present": 3440, "repeated": 3560}
    async with console(tmp_path) as http:
        assert (await overview(http))["clicks"] == 3440


async def test_records_of_a_chunk_that_the_log_refused_come_with_the_next_attempt(tmp_path, monkeypatch):
    """A chunk's records are appended together: those beside a refused one are in the log, and stay once."""
    monkeypatch.setattr(intake, "_PER_RECORD", 500)
    (chunk,) = sample_chunks(20_000)
    real, records = Intake._write, Counter()

    async def write(self, record):
        if decode(record).events:
            records["tried"] += 1
            if records["tried"] in (3, 5):
                raise LogFull("the log is full")
        await real(self, record)

    monkeypatch.setattr(Intake, "_write", write)
    async with console(tmp_path) as http:
        assert (await http.post(IMPORT, json=body(chunk.lines, chunk.occurrences))).status_code == 503
        assert records["tried"] == 7  # none was left out because of another
        assert await send_all(http, [chunk]) == {"accepted": 1000, "present": 2440, "heartbeat": 120}
        assert (await stored(http, 3440))["clicks"] == 3440
    assert await ledger(tmp_path) == BOOKS


async def test_lines_are_looked_at_again_when_asked_and_still_not_stored_or_counted_twice(tmp_path):
    (chunk,) = sample_chunks(20_000)
    again = body(chunk.lines, chunk.occurrences) | {"again": True}
    async with console(tmp_path) as http:
        await send_all(http, [chunk])
        for _ in range(2):  # in the log at first, then stored
            answer = (await http.post(IMPORT, json=again)).json()
            assert (answer["accepted"], answer["present"], answer["repeated"]) == (0, 3440, 0)
            assert answer["rejected"] == {"heartbeat": 120}
            await stored(http, 3440)
    assert await ledger(tmp_path) == BOOKS


async def test_refused_lines_are_counted_once_however_often_they_are_sent(tmp_path):
    async with console(tmp_path) as http:
        for _ in range(3):
            await send_all(http, sample_chunks(1000))
    assert await ledger(tmp_path) == BOOKS
    async with console(tmp_path) as http:
        await send_all(http, sample_chunks(1000))
        # In other chunks: lines beside their ends may not be known again, but no click is stored twice.
        assert (await send_all(http, sample_chunks(700))).get("accepted", 0) == 0


async def test_an_import_that_broke_off_is_continued(tmp_path):
    chunks = sample_chunks(500)
    async with console(tmp_path) as http:
        begun = await send_all(http, chunks[:3])
        # The process ends here, with the clicks in its log.
    async with console(tmp_path) as http:
        whole = await send_all(http, chunks)
        assert whole["present"] == begun["accepted"]
        assert whole["repeated"] == sum(len(chunk.lines) for chunk in chunks[:3])
        assert whole["accepted"] == 3440 - begun["accepted"]
        assert (await stored(http, 3440))["clicks"] == 3440


async def test_the_same_file_sent_by_two_at_the_same_time_is_stored_once(tmp_path):
    async with console(tmp_path) as http:
        both = await asyncio.gather(send_all(http, sample_chunks(300)), send_all(http, sample_chunks(400)))
        assert both[0].get("accepted", 0) + both[1].get("accepted", 0) == 3440
        assert (await stored(http, 3440))["clicks"] == 3440
    async with console(tmp_path) as http:
        assert (await overview(http))["clicks"] == 3440


async def test_identical_lines_are_clicks_of_their_own(tmp_path):
    async with console(tmp_path) as http:
        assert (await send(http, [line()] * 3, [1, 2, 3]))["accepted"] == 3
        # A wrong sender cannot store a line twice.
        assert (await send(http, [line(2)] * 3, [1, 1, 1]))["accepted"] == 1
        assert (await stored(http, 4))["clicks"] == 4


async def test_times_places_and_properties_are_kept(tmp_path):
    chunk = sample_chunks(5000)[0]
    given = json.loads(chunk.lines[0])
    async with console(tmp_path) as http:
        await send(http, chunk.lines[:1])
        await stored(http, 1)
        answer = await http.get("/api/v1/analytics/clicks", params=IN_2012)
        links = (await http.get("/api/v1/links")).json()["data"]
    (event,) = answer.json()["data"]
    assert event["occurred_at"] == "2012-03-16T18:40:47.000+00:00"
    assert event["occurred_at_original"] is None
    assert event["source"] == "import:bitly"
    assert (event["country_code"], event["region"], event["city"]) == ("US", "MA", "Danvers")
    assert (event["latitude"], event["longitude"]) == (42.5767, -70.9549)
    assert (event["referrer"], event["referrer_host"]) == (given["r"], "facebook.com")
    assert event["properties"] == {"nk": 1, "g": "A6qOVH"}
    assert (event["visitor_id"], event["session_id"]) == (None, None)
    assert (event["browser"], event["timezone"], event["language"]) == (
        "Chrome",
        given["tz"],
        given["al"].split(",")[0],
    )
    assert [(link["id"], link["domain"], link["short_code"]) for link in links] == [
        (event["link_id"], "1.usa.gov", "wfLQtf")
    ]


async def test_a_bad_line_costs_nothing_but_itself(tmp_path):
    lines = [
        line(1),
        "{",
        line(2),
        line(3, u="ftp://example.com/"),
        '{"_heartbeat_": 1}',
        line(4, h="v1"),
        line(5),
    ]
    async with console(tmp_path) as http:
        answer = await send(http, lines)
        assert (answer["accepted"], answer["rejected"]) == (3, {"bad_line": 3, "heartbeat": 1})
        assert [problem["index"] for problem in answer["problems"]] == [1, 3, 5]
        assert (await stored(http, 3))["clicks"] == 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"format": "csv"}, "format"),
        ({"lines": ["x"] * 20_001, "occurrences": [1] * 20_001}, "lines"),
        ({"occurrences": []}, "occurrences"),
        ({"occurrences": [0]}, "occurrences"),
        ({"lines": [7]}, "lines"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_wrong_chunk_is_refused_and_the_field_named(tmp_path, changes, field):
    async with console(tmp_path) as http:
        answer = await http.post(IMPORT, json=body([line()]) | changes)
    assert answer.status_code == 400
    assert field in answer.json()["field"]


async def test_only_an_admin_may_import(tmp_path):
    async with console(tmp_path) as http:
        made = await http.post("/api/v1/keys", json={"name": "reader", "scopes": ["read", "links", "ingest"]})
        headers = {"Authorization": f"Bearer {made.json()['key']}"}
        assert (await http.post(IMPORT, json=body([line()]), headers=headers)).status_code == 403
        del http.headers["Authorization"]
        assert (await http.post(IMPORT, json=body([line()]))).status_code == 401
        assert (await http.post(IMPORT, content=b"x" * (17 << 20))).status_code == 401


@pytest.mark.parametrize("back", [0, 3600])
async def test_while_the_worker_is_behind_the_import_waits_and_then_says_so(tmp_path, monkeypatch, back):
    monkeypatch.setattr(intake, "_PATIENCE", 0.3)
    settings = load(data=tmp_path)
    earlier = await open_log(settings, shard="claim")
    await main.prepare(settings)

    class NoLinks:
        async def ensure_links(self, _workspace_id, _wanted):
            return {}, 0

    async def open_shard():
        return await open_log(settings, shard="claim")

    workspace = Workspace("default", "Default", b"s" * 32, 0)
    state = open_state(tmp_path / "state.db")
    imported = ImportedFiles(state)
    importer = ClickImporter(Intake(open_shard, None, imported, consumer=WORKER), NoLinks())
    assert (await importer.add(workspace, "bitly", ["?"], [1])).rejected == {"bad_line": 1}
    # That record (its tally) waits in the log, and nobody stores it. A new process must not go on
    # before it is stored, also with a clock that was set back: it cannot know what is in there.
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() - back)
    later = ClickImporter(Intake(open_shard, None, imported, consumer=WORKER), NoLinks())
    with pytest.raises(Retryable, match="behind"):
        await later.add(workspace, "bitly", ["??"], [1])
    # What is known to be imported needs no waiting.
    assert (await later.add(workspace, "bitly", ["?"], [1])).repeated == 1
    await earlier.close()
    await state.close()
