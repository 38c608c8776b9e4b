"""Access logs imported into the real parts: what plain counting says, once, and nobody's address."""

import asyncio
import io
import json
from collections import Counter

import pytest

from footfall.cli import app
from footfall.eventlog import open_log
from footfall.model.columns import COLUMNS
from footfall.model.record import decode
from footfall.settings import load
from footfall.state.import_salts import LIFETIME_MS, ImportSalts
from footfall.state.retention import Deleted, RetentionState
from footfall.state.rollups.manifest import ArchivedSessions
from footfall.state.tables import open_state
from tests.contract.access_log import (
    ADDRESSES,
    IMPORT,
    LINES,
    NOW,
    REAL,
    SAMPLE,
    books,
    console,
    line,
    select,
    send,
    site_of,
)  # fmt: skip
from tests.contract.test_store import opened

pytestmark = pytest.mark.anyio

FILES = (
    "css js png jpg jpeg gif svg ico ttf woff txt xml jar pdf py log conf c gz sh tex deb swf spec rb pyc"
    " patch lua doc xsl exe vim pcap m4 mk java gem diff cpp"
)


async def delete_events(data):
    """As retention does."""
    async with opened(load(data=data)) as store:
        await asyncio.to_thread(store._handles.commands.command, "TRUNCATE TABLE events")
    state = open_state(data / "state.db")
    kept = ArchivedSessions(build=9, month=201505, rows=0, fields=())
    await RetentionState(state).delete_raw({"another": Deleted(NOW * 1000, 0)}, kept)
    await state.close()


def counted_plainly():
    """What the log holds, by splitting its lines at quotes and blanks, and nothing else."""
    assets = FILES.split()
    pages, skipped, visitors = Counter(), Counter(), set()
    times = []
    for text in LINES:
        head, request, answer, _, _, agent = [*text.split('"'), ""][:6]
        method, target = request.split(" ")[:2]
        status = answer.split()[0]
        path = target.split("?")[0].split("#")[0]
        name = path.split("/")[-1]
        if method != "GET":
            skipped["method"] += 1
        elif status not in {"200", "304"}:
            skipped["status"] += 1
        elif "." in name[1:] and name.split(".")[-1].lower() in assets:
            skipped["asset"] += 1
        else:
            pages[path] += 1
            visitors.add((head.split("[")[1][:11], head.split(" ")[0], agent))
            times.append(head.split("[")[1][:20])
    return pages, skipped, visitors, (min(times), max(times))


async def test_the_real_log_is_what_plain_counting_says(tmp_path):
    pages, skipped, visitors, times = counted_plainly()
    async with console(tmp_path) as http:
        totals = await send(http, LINES, origin="http://semicomplete.com")
    assert totals == {"page_view": pages.total()} | skipped
    stored = dict(await select(tmp_path, "SELECT page_path, count() FROM events GROUP BY page_path"))
    assert sum(stored.values()) == pages.total() == 3783
    plain = {path: count for path, count in pages.items() if "%" not in path}
    assert {path: stored.get(path) for path in plain} == plain
    ((several,),) = await select(
        tmp_path,
        "SELECT (uniqExact(event_id), uniqExact(visitor_id), countIf(visitor_id = 0),"
        " countIf(country_code = ''),"
        " min(occurred_at), max(occurred_at), uniqExact(source), any(source), uniqExact(site_id),"
        " countIf(user_agent = '-' AND is_bot), countIf(channel = 'internal')) FROM events",
    )
    assert several[:3] == (3783, len(visitors), 0)
    assert several[3] < 40  # of private networks, or in no database
    assert tuple(at.strftime("%d/%b/%Y:%H:%M:%S") for at in several[4:6]) == times
    assert several[6:10] == (1, "import:access-log", 1, 72)
    assert several[10] > 300
    assert await books(tmp_path) == {
        "received": 10_000,
        "stored": 3783,
        "rejected": dict(skipped),
        "backfilled": 10_000,
    }


async def test_a_repeat_adds_nothing_to_the_store_or_the_books(tmp_path):
    async with console(tmp_path) as http:
        first = await send(http, LINES)
        again = await send(http, LINES)
        assert again == {"present": first["page_view"], "repeated": 10_000}
    before = await books(tmp_path)
    async with console(tmp_path) as http:
        assert (await send(http, LINES, again=True))["present"] == 3783
    assert await books(tmp_path) == before
    async with console(tmp_path) as http:
        assert "page_view" not in await send(http, LINES, most=3000)  # cut elsewhere
    assert (await select(tmp_path, "SELECT count() FROM events")) == [(3783,)]
    await delete_events(tmp_path)  # as if raw events had been deleted by age
    async with console(tmp_path) as http:
        assert await send(http, LINES) == {"present": 3783, "repeated": 10_000}
    assert await select(tmp_path, "SELECT count() FROM events") == [(0,)]
    after = await books(tmp_path)
    assert (before["stored"], after["stored"]) == (3783, 3783)


async def test_an_edited_line_adds_nothing_twice_where_events_were_deleted_by_age(tmp_path):
    async with console(tmp_path) as http:
        site_id = await site_of(http)
        await send(http, LINES)
    await delete_events(tmp_path)
    state = open_state(tmp_path / "state.db")
    kept = ArchivedSessions(build=1, month=201505, rows=0, fields=())
    await RetentionState(state).delete_raw({site_id: Deleted(NOW * 1000, 0)}, kept)
    await state.close()
    edited = [*LINES[:5000], line(1_431_900_000, "/edited"), *LINES[5001:]]
    async with console(tmp_path) as http:
        answer = await send(http, edited)
        assert "page_view" not in answer
        assert answer["perhaps_imported"] > 10
        assert "page_view" not in await send(http, edited)
        assert (await send(http, edited[5000:5001], again=True))[
            "page_view"
        ] == 1  # who is sure of it insists
    assert (await books(tmp_path))["rejected"]["perhaps_imported"] == 2 * answer["perhaps_imported"]


@pytest.mark.parametrize("raw_is_gone", [False, True])
async def test_a_file_that_has_grown_brings_only_what_is_new(tmp_path, raw_is_gone):
    async with console(tmp_path) as http:
        first = await send(http, LINES[:4321])
    if raw_is_gone:
        await delete_events(tmp_path)
    async with console(tmp_path) as http:
        # Behind another file, too: it is the lines that are known, not the file.
        older = [line(1_400_000_000 + number, f"/old/{number}") for number in range(1000)]
        grown = await send(http, older + LINES)
    assert grown["page_view"] == 1000 + 3783 - first["page_view"]
    assert grown["repeated"] == 4321
    assert (await books(tmp_path))["received"] == 11_000


async def test_two_who_send_the_same_file_at_once_store_it_once(tmp_path):
    async with console(tmp_path) as http:
        both = await asyncio.gather(send(http, LINES, most=2000), send(http, LINES, most=3000))
    assert sum(totals.get("page_view", 0) for totals in both) == 3783
    assert await select(tmp_path, "SELECT count(), uniqExact(event_id) FROM events") == [(3783, 3783)]


async def test_a_dry_run_says_what_would_be_and_does_nothing(tmp_path):
    async with console(tmp_path) as http:
        said = await send(http, LINES, dry_run=True)
        assert said == await send(http, LINES, dry_run=True)
        assert said == await send(http, LINES)
    assert (await books(tmp_path))["received"] == 10_000


async def test_no_address_is_in_anything_that_is_kept(tmp_path):
    odd = "198.51.100.77"
    lines = [
        *LINES[:3000],
        line(address=odd) + f' "{odd}"',
        line(address=odd, status=999),
        odd,
        json.dumps({"remote_addr": odd, "time": "never"}),
    ]
    async with console(tmp_path) as http:
        await send(http, lines)
    settings = load(data=tmp_path)
    log = await open_log(settings, shard="none")
    records = [
        decode(stored.data)
        for shard in await log.shards()
        for stored in await log.read(shard, -1, 10_000, 64 << 20)
    ]
    await log.close()
    kept = repr(records)
    texts = [column.name for column in COLUMNS if "String" in column.type]
    kept += repr(await select(tmp_path, f"SELECT DISTINCT {', '.join(texts)} FROM events"))
    kept = kept.encode() + b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    wanted = ADDRESSES | {odd}
    # Referrers and user agents hold addresses of servers: what the log's own text says.
    said = " ".join(text.split(" ", 1)[1] for text in LINES)
    found = {address for address in wanted if address.encode() in kept and address not in said}
    assert found == set()
    assert sum(len(record.events) for record in records) > 1000


async def test_requests_by_links_are_clicks_and_belong_to_the_link(tmp_path):
    async with console(tmp_path) as http:
        made = await http.post(
            "/api/v1/links", json={"url": "https://example.com/?utm_source=letter", "code": "sale"}
        )
        assert made.status_code == 201, made.text
        link = made.json()
        lines = [
            line(path="/sale", status=302),
            line(NOW + 1, path="/sale?x=1", status=301),
            line(NOW + 2, path="/sale", status=302, method="HEAD"),
            line(NOW + 3, path="/sale", status=404),
            line(NOW + 4, path="/sale"),  # a page that is called like a link
            line(NOW + 5, path="/other", status=302),
        ]
        assert await send(http, lines) == {"click": 2, "page_view": 1, "method": 1, "status": 2}
    rows = await select(
        tmp_path,
        "SELECT event_type, link_id, short_code, destination_url, site_id = '', utm_source, page_url"
        " FROM events ORDER BY occurred_at",
    )
    target = "https://example.com/?utm_source=letter"
    assert rows[0] == ("click", link["id"], "sale", target, True, "letter", "")
    assert rows[1] == ("click", link["id"], "sale", target, True, "letter", "/sale?x=1")
    assert rows[2][:2] == ("page_view", "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"site_id": "site_nowhere"}, "site_id"),
        ({"origin": "ftp://example.com"}, "origin"),
        ({"origin": "https://example.com/path"}, "origin"),
        ({"occurrences": []}, "occurrences"),
        ({"lines": ["x"] * 20_001}, "lines"),
        ({"address": "203.0.113.9"}, "address"),
    ],
)
async def test_a_wrong_chunk_is_refused_and_the_field_named(tmp_path, changes, field):
    async with console(tmp_path) as http:
        body = {"site_id": await site_of(http), "lines": [line()], "occurrences": [1]}
        answer = await http.post(IMPORT, json=body | changes)
    assert answer.status_code == 400
    assert field in answer.json()["field"]


async def test_only_an_admin_of_the_sites_workspace_may_import(tmp_path):
    async with console(tmp_path) as http:
        body = {"site_id": await site_of(http), "lines": [line()], "occurrences": [1]}
        made = await http.post("/api/v1/keys", json={"name": "reader", "scopes": ["read", "links", "ingest"]})
        headers = {"Authorization": f"Bearer {made.json()['key']}"}
        assert (await http.post(IMPORT, json=body, headers=headers)).status_code == 403


async def test_the_salt_of_imports_dies_after_two_days_and_leaves_no_trace(tmp_path):
    state = open_state(tmp_path / "state.db")
    salts = ImportSalts(state)
    first = await salts.current(1_000_000)
    assert await salts.current(1_000_000 + LIFETIME_MS / 1000 - 1) == first
    await salts.expire(1_000_000 + LIFETIME_MS / 1000 - 1)
    assert first in (tmp_path / "state.db").read_bytes()
    await salts.expire(1_000_000 + LIFETIME_MS / 1000)
    second = await salts.current(1_000_000 + LIFETIME_MS / 1000)
    assert second != first
    await state.close()
    assert not [path for path in tmp_path.iterdir() if first in path.read_bytes()]


def test_the_command_takes_gzip_and_standard_input(tmp_path, monkeypatch, capsys):
    data = ("--data", str(tmp_path / "d"), "--site", "My site")

    def run(*arguments):
        status = app.run(["import", "access-log", *arguments, *data])
        shown = capsys.readouterr()
        return status, [row.replace("│", " ").split() for row in shown.out.splitlines()], shown.err

    status, rows, _ = run(str(SAMPLE), "--dry-run")
    assert status == 0
    assert ["page", "views", "that", "would", "be", "imported", "3,783"] in rows
    status, rows, _ = run(str(SAMPLE), "--origin", "http://semicomplete.com")
    assert status == 0
    for row in (["lines", "10,000"], ["page", "views", "imported", "3,783"], ["skipped:", "asset", "5,753"]):
        assert row in rows
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(REAL + b"nonsense\n"))))
    status, rows, error = run("-")
    assert status == 0
    assert ["lines", "imported", "before", "10,000"] in rows
    assert ["page", "views", "imported", "0"] in rows
    assert ["refused:", "bad_line", "1"] in rows
    assert "line 10001: not a line of the combined log format" in error
    data = ("--data", str(tmp_path / "d"), "--site", "nobody")
    status, _, error = run(str(SAMPLE))
    assert status == 2
    assert "My site" in error
