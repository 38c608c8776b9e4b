"""Retention and repair as people meet them: over HTTP and from the command line."""

import asyncio

import pytest

from footfall.api.routes.retention import _warnings
from footfall.cli import retention, verify
from footfall.retention.plan import Month
from footfall.retention.policy import nightly_retention
from footfall.state.ledger import HOUR, hour_of
from footfall.state.ranges import iso
from footfall.state.retention import Deleted, RetentionState
from footfall.state.rollups.builds import Builds
from footfall.state.rollups.manifest import ArchivedSessions
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.units import FOREVER
from footfall.verify.findings import FIRSTS_UNKNOWN
from tests.contract.acme import assert_problem
from tests.contract.verified import END, NOW, START, THIS_HOUR, event

pytestmark = pytest.mark.anyio

PATH = "/api/v1/retention"
DAY = 86_400_000


async def test_the_plan_is_of_the_own_workspace(world, api, acme):
    other = (await api.tenants.create_workspace("other")).id
    await world.append(event(), event(), workspace=acme)
    await world.append(event("theirs"), workspace=other)
    await world.take()
    answer = (await api.ask("GET", PATH, acme)).json()
    [month] = answer["data"]
    assert month == {
        "month": iso(NOW)[:7], "site_id": "shop", "events": 2, "newest": iso(NOW),
        "deleted_after": iso(NOW + 90 * DAY), "due": False, "announced": None, "unsliced": 2,
    }  # fmt: skip
    assert answer["meta"] == {"raw_days": 90.0, "rollup_days": None, "warnings": []}
    assert_problem(await api.ask("GET", PATH, acme, "read"), 403)
    assert_problem(await api.ask("GET", PATH, acme, params={"site": "x"}), 400, "site")


async def test_rollups_that_go_before_events_are_warned_of():
    month = Month(202603, "acme", "shop", 1, NOW, NOW + 90 * DAY, 0)
    longer = Month(202603, "acme", "archive", 1, NOW, None, 0)
    day = 86_400
    assert _warnings(90 * day, FOREVER, [month, longer]) == []
    assert _warnings(90 * day, 90 * day, [month]) == []
    [warning] = _warnings(90 * day, 90 * day, [month, longer])
    assert "events (of archive) longer" in warning
    [warning] = _warnings(90 * day, 45 * day, [month])
    assert "rollups are kept 45d, and events longer" in warning
    assert _warnings(FOREVER, 45 * day, []) == _warnings(90 * day, 45 * day, [])


async def test_a_site_gets_days_of_its_own(world, api, acme):
    site = await api.tenants.create_site(acme, "shop")
    others = await api.tenants.create_site((await api.tenants.create_workspace("other")).id, "theirs")
    await world.append(event(site.id), workspace=acme)
    await world.take()
    answer = await api.ask("PUT", PATH, acme, json={"site_id": site.id, "raw_days": 0})
    assert [each["deleted_after"] for each in answer.json()["data"]] == [None]
    answer = await api.ask("PUT", PATH, acme, json={"site_id": site.id, "raw_days": 3})
    assert [each["deleted_after"] for each in answer.json()["data"]] == [iso(NOW + 3 * DAY)]
    answer = await api.ask("PUT", PATH, acme, json={"site_id": site.id, "raw_days": None})
    assert [each["deleted_after"] for each in answer.json()["data"]] == [iso(NOW + 90 * DAY)]
    for wrong in (
        {"site_id": others.id, "raw_days": 3},
        {"site_id": "none", "raw_days": 3},
        {"site_id": site.id, "raw_days": -1},
        {"site_id": site.id},
    ):
        assert_problem(await api.ask("PUT", PATH, acme, json=wrong), 400)
    assert_problem(await api.ask("PUT", PATH, acme, "read", json={"site_id": site.id, "raw_days": 1}), 403)


async def test_the_command_shows_the_plan_and_sets_the_days(world, api, acme, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    site = await api.tenants.create_site(acme, "shop")
    await world.append(*(event(site.id) for _ in range(1200)), workspace=acme)
    await world.take()
    await api.command(retention.retention, workspace=acme)
    shown = capsys.readouterr().out
    assert any(site.id in line and "1,200 not in the rollups yet" in line for line in shown.splitlines()), (
        shown
    )
    assert "raw events: 90 days" in shown
    await api.command(retention.retention, workspace=acme, site=site.id, raw_days="forever")
    assert "never" in capsys.readouterr().out


async def test_every_night_it_is_applied_and_verify_knows(world, api, acme, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    await world.append(event(), event(), workspace=acme)
    await world.take()
    await world.rollups.slice_all()
    assert await world.found(workspace=acme) == []
    await nightly_retention(world.retention, tmp_path).tick()
    assert await world.store.query("SELECT count() FROM events") == [(2,)]
    [month] = (await api.ask("GET", PATH, acme)).json()["data"]
    assert month["announced"][:10] == iso(NOW + 91 * DAY)[:10]
    await api.command(retention.retention, workspace=acme)
    assert f"next night (announced {month['announced'][:10]})" in capsys.readouterr().out
    await nightly_retention(world.retention, tmp_path).tick()  # the same night, in another process
    assert await world.store.query("SELECT count() FROM events") == [(2,)]
    world.later += 86400
    await nightly_retention(world.retention, tmp_path / "next").tick()
    assert await world.store.query("SELECT count() FROM events") == [(0,)]
    result = await world.verify(workspace=acme)
    assert (result.findings, result.total) == ([], 0)
    assert result.notes == ["retention deleted raw events of some of these hours: those were not compared"]


async def test_only_hours_that_retention_may_have_touched_are_left_out(world, api, acme):
    await world.append(event(), workspace=acme)
    await world.take(unstored=[(0, 0)])
    kept = [ArchivedSessions(build, 202001, 0, ()) for build in (1, 2)]
    await RetentionState(world.database).delete_raw({"shop": Deleted(END, THIS_HOUR)}, kept[0])
    assert {each[1] for each in await world.found(workspace=acme)} == {"stored", "missing", "not_a_duplicate"}
    await RetentionState(world.database).delete_raw({"shop": Deleted(END, THIS_HOUR + 1)}, kept[1])
    assert await world.found(workspace=acme) == []


async def test_the_first_copy_of_a_duplicate_may_have_been_deleted_at_whatever_site(world, api, acme):
    long_ago = THIS_HOUR - 2 * DAY
    await world.append(event(), workspace=acme, at=THIS_HOUR - DAY)
    await world.append(event(client_id=True), workspace=acme)
    await world.take(duplicates=[(1, 0)])
    assert [each[1] for each in await world.found(workspace=acme)] == ["not_a_duplicate"]
    kept = [ArchivedSessions(build, 202001, 0, ()) for build in (1, 2)]
    await RetentionState(world.database).delete_raw({"blog": Deleted(END, long_ago)}, kept[0])
    assert [each[1] for each in await world.found(workspace=acme)] == ["not_a_duplicate"]
    await RetentionState(world.database).delete_raw({"blog": Deleted(END, THIS_HOUR - DAY // 2)}, kept[1])
    result = await world.verify(workspace=acme)
    assert (result.findings, result.notes) == ([], [FIRSTS_UNKNOWN])


async def test_what_was_deleted_of_another_workspace_hides_no_loss(world, api, acme):
    other = (await api.tenants.create_workspace("other")).id
    await world.append(event("theirs"), workspace=other)
    await world.append(event(client_id=True), workspace=acme)
    await world.take(duplicates=[(1, 0)])
    await world.rollups.slice_all()
    deleted, kept = Deleted(END, THIS_HOUR - DAY // 2), ArchivedSessions(1, 202001, 0, ())
    await RetentionState(world.database).delete_raw({"theirs": deleted}, kept)
    assert [each[1] for each in await world.found(workspace=acme)] == ["not_a_duplicate"]


async def test_while_ids_reach_back_to_what_was_deleted_the_first_copy_may_have_been(world, api, acme):
    hundred_days_ago, later = NOW - 100 * DAY, NOW + 3 * HOUR
    await world.append(event(), workspace=acme, at=hundred_days_ago)
    await world.append(event(client_id=True), workspace=acme)
    await world.append(event(client_id=True), workspace=acme, at=later)
    known = {THIS_HOUR: hundred_days_ago, hour_of(later): NOW - DAY}
    await world.take(duplicates=[(1, 0), (2, 0)], ids_known=known)
    asked = {"workspace": acme, "end": END + 3 * HOUR}
    assert [each[1] for each in await world.found(**asked)] == ["not_a_duplicate"] * 2
    deleted = Deleted(END - 10 * DAY, THIS_HOUR - 10 * DAY)
    await RetentionState(world.database).delete_raw({"shop": deleted}, ArchivedSessions(1, 202001, 0, ()))
    [found] = (await world.verify(**asked)).findings
    assert (found.check, found.hour, found.level) == ("not_a_duplicate", hour_of(later), "error")


async def test_the_log_says_that_the_first_copy_of_a_late_duplicate_was_deleted(world, api, acme):
    known, other = event(client_id=True), event("blog", client_id=True)
    await world.append(known, other, workspace=acme, at=NOW - 20 * DAY)
    await world.append(event(), workspace=acme, at=NOW - 8 * DAY)
    await world.append(known, other, workspace=acme)
    await world.take(duplicates=[(2, 0), (2, 1)], unstored=[(0, 0), (0, 1)])
    assert [each[1:3] for each in await world.found(workspace=acme)] == [
        ("not_a_duplicate", "blog"),
        ("not_a_duplicate", "shop"),
    ]
    deleted = Deleted(END, THIS_HOUR - 10 * DAY)
    await RetentionState(world.database).delete_raw({"shop": deleted}, ArchivedSessions(1, 202001, 0, ()))
    assert [each[1:3] for each in await world.found(workspace=acme)] == [("not_a_duplicate", "blog")]


async def test_a_wrong_month_is_built_again_by_a_command_on_this_machine_only(
    world, api, acme, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    await world.append(*(event() for _ in range(20)), workspace=acme)
    await world.take()
    await world.rollups.slice_all()
    await asyncio.to_thread(
        world.store._handles.commands.command,
        "ALTER TABLE rollups DELETE WHERE cube = 'page' SETTINGS mutations_sync = 1",
    )
    asked = {"start": iso(START), "end": iso(END), "workspace": acme, "repair": True}
    await world.verify(workspace=acme)
    day = iso(NOW // DAY * DAY)
    asked["start"] = day
    assert await api.command(verify.verify, **asked) == 1
    assert "only a command on the machine itself" in capsys.readouterr().out

    async def local(*_):
        return "local"

    monkeypatch.setattr(api, "key", local)
    await api.command(verify.verify, **asked)
    assert f"of {iso(NOW)[:7]} were built again from 20 events" in capsys.readouterr().out
    assert await world.found(workspace=acme) == []
    assert len((await Builds(world.database).manifest()).entries) == 1


async def test_a_month_that_lost_events_is_not_built_again_of_those_that_are_left(
    world, api, acme, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    await world.append(*(event() for _ in range(20)), workspace=DEFAULT_WORKSPACE)
    await world.take()
    await world.rollups.slice_all()
    await asyncio.to_thread(
        world.store._handles.commands.command,
        "ALTER TABLE events DELETE WHERE seq % 2 SETTINGS mutations_sync = 1",
    )
    asked = {"start": iso(NOW // DAY * DAY), "end": iso(END), "workspace": acme, "repair": True}

    async def local(*_):
        return "local"

    monkeypatch.setattr(api, "key", local)
    before = (await Builds(world.database).manifest()).entries
    assert await api.command(verify.verify, **asked) == 1
    assert f"of {iso(NOW)[:7]} stay as they are: events of that month are lost" in capsys.readouterr().out
    assert (await Builds(world.database).manifest()).entries == before
