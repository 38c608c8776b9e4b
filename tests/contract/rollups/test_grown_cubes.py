"""What rollups of links and widgets keep outlives the events; older builds answer for what they had."""

import msgspec
import pytest

from footfall.model.cubes import CUBES
from footfall.query.engine import Engine
from footfall.query.language.periods import Period
from footfall.query.language.question import TIME, And, Question, is_, is_not
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.rollups.row_counts import RollupState
from footfall.units import FOREVER
from tests.contract.rollups.test_retention import APRIL, left
from tests.contract.sliced import DAY, SITES, START

pytestmark = pytest.mark.anyio

LINKS = And((is_not("link_id", ""), is_("site_id", "berlin")))
WIDGETS = And((is_("event_type", "widget_impression", "widget_click"), is_("site_id", "berlin")))
HOUR = 3_600_000
BERLIN = Period(
    START - HOUR, START + 4 * DAY - 2 * HOUR, "Europe/Berlin"
)  # whole days there, one of 23 hours
QUESTIONS = {
    "links": (
        ("sessions", "unique_countries", "unique_referrers", "unique_clicks"),
        ("link_id",),
        LINKS,
        BERLIN,
    ),
    "devices by the hour": (
        ("clicks", "visitors", "sessions", "unique_clicks", "human_clicks"),
        ("link_id", "device_type", TIME),
        LINKS,
        Period(START, START + 4 * DAY, "UTC"),
    ),
    "widgets": (
        ("impressions", "widget_clicks", "visitors", "sessions", "mapping_numbers"),
        ("source", "mapping_id", "post_id", "device_slug"),
        WIDGETS,
        BERLIN,
    ),
}


def question(metrics, dimensions, where, period):
    buckets = period.buckets("hour") if TIME in dimensions else []
    return Question(
        workspace_id="acme",
        period=period,
        metrics=metrics,
        dimensions=dimensions,
        where=where,
        buckets=buckets,
        order_by=dimensions,
        limit=10_000,
    )


class Catalog:
    """The manifest, and a ledger that knows of events at every site."""

    def __init__(self, world):
        self._state = RollupState(world.database)

    async def manifest(self):
        return await self._state.manifest()

    async def stored(self, workspace_id):
        found = await self._state.stored(workspace_id)
        return msgspec.structs.replace(found, sites=dict.fromkeys(SITES, 100))


async def ask(world, asked):
    return await Engine(world.store, Catalog(world), small=-1).find(asked, 30)


async def keep_a_day(world):
    """Deletes every raw event."""
    settings = Settings(raw_retention=1 * 86400, rollup_retention=FOREVER)
    world.clock.at = (APRIL + 3 * DAY) / 1000
    await world.two_nights(
        Retention(world.store, world.database, settings, world.rollups, None, world.believed, 0)
    )
    assert await left(world) == {}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_it_is_answered_in_full_when_the_events_are_gone(world, name):
    await world.take(world.made(600, START, APRIL))
    asked = question(*QUESTIONS[name])
    raw = await ask(world, asked)
    assert (raw.source, bool(raw.rows)) == ("raw", True)
    await world.rollups.tick()
    await keep_a_day(world)
    found = await ask(world, asked)
    assert found.rows == raw.rows
    assert found.source != "raw"
    assert found.missing == ()


@pytest.mark.parametrize("name", QUESTIONS)
async def test_builds_of_before_say_that_it_is_missing(world, name):
    await world.take(world.made(600, START, APRIL))
    await world.rollups.tick()
    labels = " ".join(cube.name for cube in CUBES)
    await world.database.run(
        lambda connection: connection.exec_driver_sql(f"UPDATE rollup_entries SET cubes = '{labels}'")
    )
    asked = question(*QUESTIONS[name])
    before = await ask(world, asked)
    assert before.source == "raw"
    what_they_had = msgspec.structs.replace(asked, metrics=("events", "visitors"), dimensions=("event_type",))
    what_they_had = msgspec.structs.replace(what_they_had, order_by=("event_type",), buckets=())
    whole = await ask(world, what_they_had)
    assert whole.source != "raw"
    await keep_a_day(world)
    assert (await ask(world, asked)).missing
    again = await ask(world, what_they_had)
    assert (again.rows, again.missing) == (whole.rows, ())


async def test_a_merge_with_an_older_build_has_what_both_have(world):
    await world.take(world.made(200, START, APRIL))
    await world.rollups.tick()
    await world.database.run(
        lambda connection: connection.exec_driver_sql("UPDATE rollup_entries SET cubes = 'total link'")
    )
    for _ in range(7):
        await world.take(world.made(60, START, APRIL))
        await world.rollups.tick()
    (entry, *more) = [each for each in (await world.builds.manifest()).entries if each.month == 202603]
    assert more == []
    assert entry.cubes == ("total", "link")
