"""Verify as people meet it: over HTTP, from the command line, and every night."""

from datetime import UTC, datetime

import msgspec
import pytest
from structlog.testing import capture_logs

from footfall.cli import verify
from footfall.metrics import LEDGER_IMBALANCES, LETTERS, VERIFY_FINDINGS
from footfall.state.ranges import iso
from footfall.verify.measure import measure_books
from footfall.verify.nightly import nightly_verify
from tests.contract.acme import assert_problem
from tests.contract.verified import END, NOW, START, event

pytestmark = pytest.mark.anyio

PATH = "/api/v1/verify"
RANGE = {"start": iso(START), "end": iso(END)}


async def test_the_answer_has_figures_and_findings_of_the_own_workspace(world, api, acme):
    other = (await api.tenants.create_workspace("other")).id
    await world.append(event(), event(), workspace=acme)
    await world.append(event("theirs"), workspace=other)
    await world.take(unstored=[(0, 1)])
    answer = await api.ask("GET", PATH, acme, params=RANGE)
    assert answer.status_code == 200, answer.text
    data, meta = answer.json()["data"], answer.json()["meta"]
    assert not data["ok"]
    assert [(site["site_id"], site["received"], site["rows"]) for site in data["sites"]] == [("shop", 2, 1)]
    assert data["findings"][0] == {
        "level": "error", "check": "stored", "site_id": "shop", "hour": iso(NOW // 3_600_000 * 3_600_000),
        "expected": 2, "found": 1, "examples": [],
    }  # fmt: skip
    assert data["total"] == len(data["findings"]) == 3
    assert meta == {
        "start": iso(START), "end": iso(END), "log_from": None, "notes": [], "unreadable_records": 0,
    }  # fmt: skip
    theirs = (await api.ask("GET", PATH, other, params=RANGE)).json()["data"]
    assert theirs["ok"]
    assert [site["site_id"] for site in theirs["sites"]] == ["theirs"]


async def test_only_an_admin_key_may_ask(api, acme):
    assert_problem(await api.ask("GET", PATH, acme, None), 401)
    assert_problem(await api.ask("GET", PATH, acme, "read"), 403)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"start": "yesterday"}, "start"),
        ({"end": "9999"}, "end"),
        ({"start": "2026-03-30", "end": "2026-03-29"}, "start"),
        ({"start": "2026-01-01", "end": "2026-03-29"}, "start"),
        ({"start_date": "2026-03-30"}, "start_date"),
    ],
)
async def test_a_wrong_parameter_is_named(api, acme, params, field):
    assert_problem(await api.ask("GET", PATH, acme, params=params), 400, field)


async def test_the_command_shows_tables_and_fails_when_something_is_wrong(
    world, api, acme, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    await world.append(*(event() for _ in range(1200)), workspace=acme)
    await world.take()
    assert await api.command(verify.verify, workspace=acme) == 0
    shown = capsys.readouterr().out
    assert any("shop" in line and line.count("1,200") >= 3 for line in shown.splitlines()), shown
    assert shown.rstrip().endswith("all of it adds up")
    await world.append(event("blog"), workspace=acme)
    await world.take(unstored=[(1, 0)])
    assert await api.command(verify.verify, start=iso(START), workspace=acme) == 1
    shown = capsys.readouterr().out
    assert any(all(word in line for word in ("error", "missing", "blog")) for line in shown.splitlines()), (
        shown
    )
    assert f"{world.shard:016x}-4096" in shown
    assert shown.rstrip().endswith("it does NOT add up")


async def test_every_night_yesterday_is_compared_and_the_findings_are_told(world, tmp_path):
    now = max(NOW / 1000, NOW // 86_400_000 * 86400 + 3600) + 86400  # today is yesterday
    await world.append(event())
    await world.take(unstored=[(0, 0)])
    job = nightly_verify(world.verifier, tmp_path)
    job._clock = lambda: now
    with capture_logs() as lines:
        await job.tick()
    assert VERIFY_FINDINGS._value.get() == 3
    assert [line["event"] for line in lines] == ["verify.findings"] + 3 * ["verify.finding"]
    done = msgspec.json.decode((tmp_path / "verified.json").read_bytes())
    assert done == {"day": datetime.fromtimestamp(NOW / 1000, UTC).date().isoformat()}
    await world.insert([(0, 0)])
    (tmp_path / "verified.json").unlink()
    with capture_logs() as lines:
        await job.tick()
    assert [line["event"] for line in lines] == ["verify.ok"]
    assert VERIFY_FINDINGS._value.get() == 0


async def test_the_books_are_measured(world):
    offset = await world.append(event(), event())
    await world.take(letters=[(offset, 1)])
    await measure_books(world.database)
    assert (LETTERS._value.get(), LEDGER_IMBALANCES._value.get()) == (1, 0)
    await world.count("acme", "shop", received=1)
    await measure_books(world.database)
    assert LEDGER_IMBALANCES._value.get() == 1
