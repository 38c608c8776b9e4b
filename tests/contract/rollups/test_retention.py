"""Retention deletes what is old enough and sliced, says so before and after, and nothing else."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from footfall.errors import Conflict, Invalid
from footfall.eventlog import open_log
from footfall.rebuild.state import rebuild
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.retention import RetentionState
from footfall.state.tables import open_state
from footfall.units import FOREVER
from footfall.verify.rollups import RollupVerifier
from tests.contract.sliced import DAY, END, SITES, START

pytestmark = pytest.mark.anyio

MAY = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1000)
APRIL = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp() * 1000)


def retention(world, days=30, rollup_days=FOREVER):
    settings = Settings(raw_retention=days * 86400, rollup_retention=rollup_days * 86400)
    return Retention(world.store, world.database, settings, world.rollups, None, world.believed, 0)


async def left(world):
    """Events by month."""
    rows = await world.store.query(
        "SELECT toYYYYMM(occurred_at) AS m, count() FROM events GROUP BY m ORDER BY m"
    )
    return dict(rows)


async def figures(world):
    return await world.store.query(
        "SELECT cube AS c, sum(events), uniqCombinedMerge(17)(visitors) FROM rollups GROUP BY c ORDER BY c"
    )


def in_march(event):
    return event["occurred_at"] < APRIL


async def test_a_month_goes_when_its_youngest_event_is_old_enough_and_its_rollups_stay(world):
    await world.take(world.made(200, START, APRIL))
    await world.take(world.made(100, APRIL, END))
    await world.rollups.tick()
    before = await figures(world)
    job = retention(world)
    world.clock.at = (APRIL + 29 * DAY) / 1000
    assert await world.two_nights(job) == []
    assert await left(world) == {202603: 200, 202604: 100}
    world.clock.at = (APRIL + 30 * DAY) / 1000 + 1
    assert await job.apply() == []
    assert await left(world) == {202603: 200, 202604: 100}
    world.clock.at += 86400
    gone = await job.apply()
    assert sum(each.events for each in gone) == 200
    assert await left(world) == {202604: 100}
    assert await figures(world) == before
    assert await job.apply() == []
    manifest = await world.builds.manifest()
    assert manifest.raw_from == dict.fromkeys(SITES, APRIL)
    assert await RollupVerifier(world.store, world.builds).run(START, END + DAY, None) == []


async def test_new_books_are_refused_where_retention_has_deleted_though_older_events_were_imported_since(
    world, tmp_path
):
    await world.take(world.made(200, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (APRIL + 32 * DAY) / 1000
    await world.two_nights(retention(world))
    assert await left(world) == {}
    await world.take(world.made(50, START - 400 * DAY, START - 390 * DAY))
    await world.take(world.made(50, START, APRIL))  # of that month, too
    books, log = open_state(tmp_path / "new.db"), await open_log(Settings(data=tmp_path, log="memory"))
    try:
        with pytest.raises(Invalid, match="from one backup"):
            await rebuild(world.store, log, books, {})
    finally:
        await log.close()
        await books.close()


async def test_the_plan_says_what_goes_when_and_deletes_nothing(world):
    await world.take(world.made(200, START, APRIL))
    world.clock.at = (APRIL + 40 * DAY) / 1000
    job = retention(world)
    plan = await job.plan("acme")
    assert {each.workspace_id for each in plan} == {"acme"}
    for each in plan:
        events = [
            e for e in world.events.values() if e["workspace_id"] == "acme" and e["site_id"] == each.site_id
        ]
        newest = max(event["received_at"] for event in events)
        assert (each.month, each.events, each.newest) == (202603, len(events), newest)
        assert each.deleted_after == newest + 30 * DAY
        assert each.unsliced == len(events)
        assert not each.is_due(int(world.clock() * 1000))
    await world.rollups.tick()
    assert all(each.is_due(int(world.clock() * 1000)) for each in await job.plan())
    assert await left(world) == {202603: 200}


async def test_what_was_imported_lately_is_kept_however_old_it_is(world):
    old = world.made(50, START - 900 * DAY, START - 890 * DAY)
    for event in old:
        event["received_at"] = END
    await world.take(old)
    await world.rollups.tick()
    world.clock.at = (END + 29 * DAY) / 1000
    assert await world.two_nights(retention(world)) == []
    world.clock.at = (END + 32 * DAY) / 1000
    await world.two_nights(retention(world))
    assert await left(world) == {}


async def test_nothing_goes_that_no_rollup_has(world):
    dead = await world.take(world.made(100, START, APRIL), letters=3)
    world.clock.at = (MAY + 30 * DAY) / 1000
    job = retention(world)
    await world.two_nights(job)
    assert await left(world) == {202603: 97}
    await world.rollups.tick()
    await world.retry(dead)  # late
    sites = {world.events[place]["site_id"] for place in dead}
    await world.two_nights(job)
    kept = await world.store.query("SELECT DISTINCT site_id FROM events")
    assert {site for (site,) in kept} == sites
    await world.rollups.slice_all()
    await world.two_nights(job)
    assert await left(world) == {}
    assert (await figures(world))[0] is not None


async def test_what_comes_while_a_month_is_deleted_stays(world, monkeypatch):
    await world.take(world.made(100, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (MAY + 30 * DAY) / 1000
    real = world.store.build

    async def build(sql, parameters=None):
        if sql.startswith("ALTER TABLE events"):
            await world.take(world.made(7, START, APRIL))
        await real(sql, parameters)

    monkeypatch.setattr(world.store, "build", build)
    await world.two_nights(retention(world))
    assert await left(world) == {202603: 7}


async def test_a_site_may_have_another_number_of_days(world):
    await world.take(world.made(300, START, APRIL))
    await world.rollups.tick()
    job = retention(world)
    await job.set_raw_days("berlin", 0)
    await job.set_raw_days("howe", 100)
    await job.set_raw_days("york", 1)
    sites = "SELECT DISTINCT site_id FROM events ORDER BY site_id"
    world.clock.at = (APRIL + 2 * DAY) / 1000
    await world.two_nights(job)
    assert "york" not in {site for (site,) in await world.store.query(sites)}
    assert len(await world.store.query(sites)) == len(SITES) - 1
    world.clock.at = (APRIL + 99 * DAY) / 1000
    await world.two_nights(job)
    assert await world.store.query(sites) == [("berlin",), ("howe",)]
    world.clock.at = (APRIL + 999 * DAY) / 1000
    await world.two_nights(job)
    assert await world.store.query(sites) == [("berlin",)]
    await job.set_raw_days("berlin", None)
    await world.two_nights(job)
    assert await left(world) == {}
    with pytest.raises(Invalid, match="raw_days"):
        await job.set_raw_days("berlin", -1)


async def test_a_failure_half_way_is_made_up_for(world, failing):
    await world.take(world.made(100, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (MAY + 30 * DAY) / 1000
    with failing("ALTER TABLE events"):
        await world.two_nights(retention(world))
    assert (await world.builds.manifest()).raw_from["berlin"] == APRIL
    assert await left(world) == {202603: 100}
    await retention(world).apply()
    assert await left(world) == {}


async def test_without_a_limit_everything_stays(world):
    await world.take(world.made(100, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (MAY + 9999 * DAY) / 1000
    assert await world.two_nights(retention(world, days=FOREVER)) == []
    assert {each.deleted_after for each in await retention(world, days=FOREVER).plan()} == {None}


async def test_rollups_go_in_whole_months(world):
    await world.take(world.made(100, START - 70 * DAY, START))
    await world.take(world.made(100, APRIL + 2 * DAY, APRIL + 3 * DAY))
    await world.rollups.tick()
    job = retention(world, days=FOREVER, rollup_days=365)
    world.clock.at = (MAY + 365 * DAY) / 1000 - 1
    await world.two_nights(job)
    manifest = await world.builds.manifest()
    assert {entry.month for entry in manifest.entries} == {202604}
    assert manifest.rollups_from == APRIL
    assert await RollupVerifier(world.store, world.builds).run(START - 99 * DAY, END + 9 * DAY, None) == []
    with pytest.raises(Conflict, match="retention"):
        await world.rollups.rebuild(202603)
    world.clock.at += 3000
    await world.rollups.tick()
    assert {partition[:6] for partition in await world.partitions()} == {"202604"}
    assert (await left(world)).keys() > {202603}


async def test_the_books_of_what_was_deleted_are_kept_for_ever(world):
    retained = RetentionState(world.database)
    assert await retained.deleted() == {}
    await world.take(world.made(100, START, APRIL))
    await world.rollups.tick()
    world.clock.at = (MAY + 30 * DAY) / 1000
    await world.two_nights(retention(world))
    deleted = await retained.deleted()
    assert {each.at for each in deleted.values()} == {APRIL}
    assert {each.received for each in deleted.values()} == {MAY + 1}
    tables = await world.database.read(lambda connection: sa.inspect(connection).get_table_names())
    assert {"raw_deleted", "raw_days", "rollups_deleted"} <= set(tables)
