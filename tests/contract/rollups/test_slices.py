"""Rollups say of what they hold exactly what the events say."""

import pytest

from footfall.errors import Conflict
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import HOUR_MS, QUARTER_MS
from footfall.state.rollups.builds import Zone
from footfall.state.tables import rollup_late
from tests.contract.sliced import DAY, PER_RECORD, START, ZONES, new_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(store, tmp_path):
    async with new_world(store, tmp_path, due=500) as world:
        yield world


async def test_a_slice_says_what_the_events_say_in_every_zone(world):
    await world.take(world.made(800))
    await world.rollups.tick()
    assert await world.check() == 800
    assert await world.unsliced() == set()


async def test_what_waits_is_sliced_when_it_is_enough_and_when_the_day_is_over(world):
    await world.take(world.made(10))
    await world.rollups.tick()  # the first slice ever
    await world.take(world.made(499))
    await world.rollups.tick()
    await world.check(10)
    await world.take(world.made(1))
    await world.rollups.tick()
    await world.check(510)
    await world.take(world.made(3))
    world.clock.at += 86_400
    await world.rollups.tick()
    await world.check(513)
    await world.take(world.made(3))
    await world.rollups.tick()
    await world.check(513)


async def test_a_day_begins_with_what_waits_then_and_not_with_what_comes_meanwhile(world, monkeypatch):
    """Else a busy installation would slice a little of its events again and again, without end."""
    world.due = 1000
    world.restarted()
    await world.take(world.made(50))
    real, builds = world.store.build, []

    async def build(sql, parameters=None):
        if sql.startswith("CREATE TABLE"):
            builds.append(sql)
            if len(builds) < 9:
                await world.take(world.made(30))
        await real(sql, parameters)

    monkeypatch.setattr(world.store, "build", build)
    await world.rollups.tick()
    assert len(builds) == 1
    assert await world.check() == 50
    await world.rollups.tick()
    assert len(builds) == 1


async def test_late_events_and_imports_are_rows_of_a_later_slice(world):
    await world.take(world.made(300))
    await world.rollups.slice_all()
    await world.take(world.made(100, START - 800 * DAY, START))
    await world.take(world.made(100), shard=7)
    await world.rollups.slice_all()
    assert await world.check() == 500
    manifest = await world.builds.manifest()
    assert len({entry.month for entry in manifest.entries}) > 20
    assert {shard: (seq + 1) // SEQ_PER_RECORD for shard, seq in manifest.watermarks.items()} == {
        2**63 + 5: world.offsets[2**63 + 5] + 1,
        7: world.offsets[7] + 1,
    }


async def test_years_before_any_and_after_many_events(world):
    await world.take(world.made(50, 0, 3 * DAY))
    await world.take(world.made(50, 4_070_908_800_000, 4_070_908_800_000 + 3 * DAY))
    await world.rollups.slice_all()
    events = list(world.events.values())
    [(count,)] = await world.store.query("SELECT sum(events) FROM rollups WHERE cube = 'device'")
    assert count == sum(event["sample_weight"] for event in events)
    [(count,)] = await world.store.query("SELECT sum(events) FROM rollups WHERE cube = 'total'")
    assert count == sum(event["sample_weight"] for event in events)


async def test_more_than_is_sliced_at_once_becomes_several_slices(world):
    rollups = world.restarted(most=200)
    await world.take(world.made(1000))
    await world.take(world.made(300), shard=3)
    await rollups.tick()
    assert await world.check() >= 1200
    builds = {entry.build for entry in (await world.builds.manifest()).entries}
    assert max(builds) >= 5


async def test_a_zone_stays_that_of_the_first_slice(world):
    await world.take(world.made(200))
    await world.rollups.slice_all()
    assert (await world.builds.manifest()).zones == {
        "": Zone("UTC", HOUR_MS),
        "gone": Zone("UTC", HOUR_MS),
        "berlin": Zone(ZONES["berlin"], HOUR_MS),
        "york": Zone(ZONES["york"], HOUR_MS),
        "kolkata": Zone(ZONES["kolkata"], QUARTER_MS),
        "howe": Zone(ZONES["howe"], QUARTER_MS),
    }
    world.zones = dict.fromkeys(world.zones, "Asia/Tokyo")
    await world.take(world.made(200))
    await world.restarted().slice_all()
    await world.check(400)


# Dead letters


async def test_letters_are_left_out_until_they_are_stored(world):
    dead = await world.take(world.made(300), letters=20)
    await world.rollups.slice_all()
    await world.check(280)
    await world.retry(dead[:5])
    assert await world.unsliced() == set(dead[:5])
    assert set((await world.builds.manifest()).late) == set(dead[:5])
    await world.check(280)
    await world.rollups.slice_all()
    assert (await world.builds.manifest()).late == ()
    await world.check(285)


async def test_letters_that_are_stored_before_the_slice_are_ordinary_rows(world):
    dead = await world.take(world.made(300), letters=20)
    await world.retry(dead[:5])
    assert (await world.builds.manifest()).late == ()
    await world.rollups.slice_all()
    await world.check(285)


@pytest.mark.parametrize("when", ["before sites_of", "before stage", "before aggregate", "before publish"])
@pytest.mark.parametrize("settle", ["now", "later"])
async def test_letters_that_are_stored_during_the_slice_are_late(world, monkeypatch, when, settle):
    dead = await world.take(world.made(300), letters=20)
    taken = []

    async def retry():
        if not taken:
            taken.extend(await world.retry(dead[:5], settle=settle == "now"))

    _before(world, monkeypatch, when, retry)
    slicer = world.rollups._slicer
    await slicer.slice(*await slicer.waiting(), 1_000_000)
    if settle == "later":
        await world.settle(taken)
    assert set((await world.builds.manifest()).late) == set(dead[:5])
    await world.check(280)
    await world.rollups.slice_all()
    await world.check(285)


def _before(world, monkeypatch, when, act):
    """Let something happen at a certain moment of a slice."""
    call = when.removeprefix("before ")
    if call == "publish":
        of, name = world.rollups._builds, "publish"
    elif call == "sites_of":
        of, name = world.store, "query"
    else:
        of, name = world.store, "build"
    real = getattr(of, name)
    marks = {"stage": "CREATE TABLE", "aggregate": "INSERT INTO rollups", "sites_of": "GROUP BY site_id"}

    async def watched(*arguments, **named):
        if call == "publish" or marks[call] in arguments[0]:
            await act()
        return await real(*arguments, **named)

    monkeypatch.setattr(of, name, watched)


async def test_many_late_rows_are_reason_enough_for_a_slice(world, monkeypatch):
    monkeypatch.setattr("footfall.rollups.maintenance._MOST_LATE", 5)
    dead = await world.take(world.made(300), letters=20)
    await world.rollups.slice_all()
    await world.retry(dead[:4])
    await world.rollups.tick()
    await world.check(280)
    await world.retry(dead[4:5])
    await world.rollups.tick()
    await world.check(285)


async def test_thousands_of_late_rows_are_taken_by_one_slice(world):
    await world.take(world.made(50))
    shard = 2**63 + 5
    closed, later = (world.offsets[shard] + 1) * SEQ_PER_RECORD, (world.offsets[shard] + 9) * SEQ_PER_RECORD
    # Those at the end of what is closed have no rows; those behind it are of a build that was given up.
    rows = [{"shard": f"{shard:016x}", "seq": closed - 1 - n} for n in range(2_000)]
    rows += [{"shard": f"{shard:016x}", "seq": later + n} for n in range(2_000)]
    await world.database.run(lambda connection: connection.execute(rollup_late.insert(), rows))
    await world.rollups.slice_all()
    await world.check(50)
    assert [seq for _, seq in (await world.builds.manifest()).late] == [row["seq"] for row in rows[2_000:]]


# The manifest


async def test_the_manifest_is_read_again_only_when_it_has_changed(world):
    first = await world.builds.manifest()
    assert await world.builds.manifest() is first
    await world.take(world.made(10))
    assert await world.builds.manifest() is first
    await world.rollups.slice_all()
    assert (await world.builds.manifest()).version > first.version


async def test_one_build_at_a_time(world):
    await world.take(world.made(10))
    await world.builds.begin_slice({2**63 + 5: 10})
    with pytest.raises(Conflict, match="another build"):
        await world.builds.begin_slice({2**63 + 5: 10})
    with pytest.raises(Conflict, match="another build"):
        await world.builds.begin_merge(202603, [1])


async def test_only_what_is_closed_may_be_sliced(world):
    await world.take(world.made(PER_RECORD))
    with pytest.raises(ValueError, match="closed"):
        await world.builds.begin_slice({2**63 + 5: SEQ_PER_RECORD})
    building = await world.builds.begin_slice({2**63 + 5: SEQ_PER_RECORD - 1})
    assert building.parts[0].after == -1


async def test_publishing_again_changes_nothing(world):
    await world.take(world.made(10))
    building = await world.builds.begin_slice({2**63 + 5: SEQ_PER_RECORD - 1})
    _, zones = await world.rollups._slicer.fill(building, {})
    entries = await world.rollups._slicer.entries(building)
    await world.builds.publish(building, entries, zones, 1)
    before = await world.builds.manifest()
    await world.builds.publish(building, entries, zones, 2)
    assert await world.builds.manifest() is before
    other = await world.builds.begin_slice({2**63 + 5: 2 * SEQ_PER_RECORD - 1})
    await world.builds.abandon(other)
    with pytest.raises(Conflict, match="not open"):
        await world.builds.publish(other, [], {}, 3)
