"""Where events are lost, their rollups are the only true copy, and no repair replaces them by less."""

import asyncio

import msgspec
import pytest

from footfall.errors import Conflict
from footfall.eventlog import open_log
from footfall.metrics import RETENTION_HELD
from footfall.rebuild.store import rebuild
from footfall.settings import Settings
from footfall.state.ledger import HOUR, LedgerCount, add, hour_of
from tests.contract.rollups.test_visits import APRIL, Asking
from tests.contract.sliced import DAY, START

pytestmark = pytest.mark.anyio

MARCH = {"metrics": ["events"], "date_range": ["2026-03-01", "2026-03-31"], "include": {"bots": True}}


async def command(world, sql):
    await asyncio.to_thread(world.store._handles.commands.command, sql + " SETTINGS mutations_sync = 1")


async def lose_half(world, what="toYYYYMM(occurred_at) = 202603"):
    """As when the engine sets parts aside."""
    await command(world, f"ALTER TABLE events DELETE WHERE {what} AND cityHash64(seq) % 2")


async def events_of(world, month):
    [(count,)] = await world.store.query(
        "SELECT count() FROM events WHERE toYYYYMM(occurred_at) = {month:UInt32}", {"month": month}
    )
    return count


async def test_rollups_that_say_more_than_the_events_left_are_not_built_again_of_these(world):
    asking = Asking(world)
    await asking.take(300)
    before, told = await asking.answer(MARCH)
    assert told.exact
    await lose_half(world)
    job = asking.retention()
    assert await world.two_nights(job) == []
    held = RETENTION_HELD.collect()[0].samples[0].value
    assert held > 0
    left = await events_of(world, 202603)
    with pytest.raises(Conflict, match="events of 202603 are lost"):
        await world.rollups.rebuild(202603)
    await world.rollups.tick()
    assert (await asking.answer(MARCH))[0] == before
    assert await world.two_nights(job) == []
    assert await events_of(world, 202603) == left
    assert RETENTION_HELD.collect()[0].samples[0].value == held
    assert await world.rollups.rebuild(202604) == await events_of(world, 202604)  # of it nothing is lost


async def test_of_one_site_that_lost_a_few_it_is_the_same(world):
    await world.take(world.made(400, START, APRIL))
    await world.rollups.tick()
    await command(world, "ALTER TABLE rollups DELETE WHERE cube = 'page'")  # it lacks rows, too
    await lose_half(world, "site_id = 'howe' AND workspace_id = 'other'")
    with pytest.raises(Conflict, match="'howe'"):
        await world.rollups.rebuild(202603)


async def test_where_the_rollups_are_gone_as_well_the_ledger_says_what_is_lost(world):
    events = world.made(300, START, APRIL)
    for event in events:
        event["received_at"] = event["occurred_at"] + 6 * DAY
        event["source"] = "api"
    await world.take(events)
    lines = [
        LedgerCount(event["workspace_id"], event["site_id"], hour_of(event["received_at"]), "stored", 1)
        for event in events
    ]
    await world.database.run(lambda connection: add(connection, lines))
    await world.rollups.tick()
    await command(world, "ALTER TABLE rollups DROP PARTITION (202603, 1)")
    assert await world.restarted().rebuild(202603) == 300
    [(build,)] = await world.store.query("SELECT DISTINCT build FROM rollups WHERE toYYYYMM(at) = 202603")
    await command(world, f"ALTER TABLE rollups DROP PARTITION (202603, {build})")
    await lose_half(world)
    with pytest.raises(Conflict, match="events of 202603 are lost"):
        await world.rollups.rebuild(202603)


# With the whole store, while the log has nothing of it any more


async def lose_the_store(world, tmp_path):
    for name in ("events", "rollups", "visits"):
        await command(world, f"TRUNCATE TABLE {name}")
    log = await open_log(Settings(data=tmp_path), shard="none")
    try:
        return await rebuild(log, world.database)
    finally:
        await log.close()


@pytest.mark.parametrize("aged", [False, True])
async def test_no_answer_about_what_was_lost_with_the_store_is_exact(world, tmp_path, aged):
    asking = Asking(world)
    await asking.take(300)
    stamped = [
        LedgerCount("acme", event["site_id"], hour_of(event["received_at"]), "received", 1)
        for event in world.events.values()
    ]
    stored = [msgspec.structs.replace(line, outcome="stored") for line in stamped]
    await world.database.run(lambda connection: add(connection, [*stamped, *stored]))
    if aged:
        assert sum(each.events for each in await world.two_nights(asking.retention())) > 0
        assert (await asking.answer(MARCH))[1].exact
    await lose_the_store(world, tmp_path / "log")
    last = max(event["received_at"] for event in world.events.values())
    for again in (False, True):  # before there is anything new, and after
        if again:
            await world.take(world.made(50, last + DAY, last + 2 * DAY), shard=77)
            await world.rollups.slice_all()
        _, told = await asking.answer(MARCH)
        assert not told.exact
        assert any("are no longer kept" in warning for warning in told.warnings)
        one = MARCH | {"filters": [["is", "site_id", ["berlin"]]]}
        assert not (await asking.answer(one))[1].exact
    one = MARCH | {"filters": [["is", "site_id", ["none"]]]}
    assert (await asking.answer(one))[1].exact
    later = {"date_range": ["2026-06-01", "2026-06-30"]}
    assert (await asking.answer(MARCH | later))[1].exact
    await lose_the_store(world, tmp_path / "log")  # a second time
    assert not (await asking.answer(MARCH))[1].exact


async def test_what_is_lost_in_one_workspace_is_not_said_in_another(world, tmp_path):
    hour = hour_of(START)
    lines = [LedgerCount("other", "berlin", hour, outcome, 3) for outcome in ("received", "stored")]
    await world.database.run(lambda connection: add(connection, lines))
    await lose_the_store(world, tmp_path / "log")
    assert (await world.builds.manifest()).lost_until == {("other", "berlin"): hour + HOUR + 300_000}
    assert (await Asking(world).answer(MARCH))[1].exact
