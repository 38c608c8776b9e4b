"""Each metric of a question is answered by what has it, whatever is kept how long."""

import asyncio
from types import SimpleNamespace

import pytest

from footfall.query.catalog.metrics import METRICS
from footfall.query.engine import Engine
from footfall.query.language.params import parse
from footfall.query.reporting.report import Context
from footfall.query.reports.link import REPORT as LINK
from footfall.retention.policy import Retention
from footfall.settings import Settings
from footfall.state.rollups.row_counts import RollupState, StoredEvents
from footfall.units import FOREVER
from tests.contract.rollups.test_visits import APRIL, NOW, Asking, of_utc, same
from tests.contract.sliced import DAY, ZONES

pytestmark = pytest.mark.anyio

NOTHING = {"count": 0, "uniques": 0, "money": {}}
MIXED = ["clicks", "last_at", "visitors", "sessions"]


def lacking(body, told):
    """The metrics of which warnings say that events are missing."""
    found = set()
    for warning in told.warnings:
        if "no longer kept" in warning:
            assert not told.exact
            names = set(warning.partition(": ")[0].split(", "))
            found |= names if names <= METRICS.keys() else set(body["metrics"])
    return found


async def retain(asking, *, raw=FOREVER, rollups=FOREVER, days_after_april):
    """What is due on a day goes."""
    world = asking.world
    world.clock.at = (APRIL + days_after_april * DAY) / 1000
    kept = Settings(raw_retention=raw * 86_400, rollup_retention=rollups * 86_400)
    job = Retention(world.store, world.database, kept, world.rollups, None, world.believed, 0)
    await world.two_nights(job)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"dimensions": ["link_id"], "filters": [["is_not", "link_id", [""]]]},
        {"dimensions": ["country"], "order_by": [["last_at", "desc"]]},
        {"dimensions": ["time:month"]},
    ],
    ids=["total", "links", "countries", "months"],
)
async def test_what_only_events_have_takes_nothing_from_the_rest(world, body):
    asking = Asking(world)
    await asking.take(600, keep=of_utc)
    body = body | {"metrics": MIXED}
    before, told = await asking.answer(body)
    assert lacking(body, told) == set()
    await retain(asking, raw=30, days_after_april=40)
    after, told = await asking.answer(body)
    assert lacking(body, told) >= {"last_at"}
    assert not lacking(body, told) & {"clicks", "visitors"}
    assert after.keys() == before.keys()
    for place, name in enumerate(MIXED):
        alone, told = await asking.answer(
            {key: body[key] for key in body if key != "order_by"} | {"metrics": [name]}
        )
        nothing = None if name == "last_at" else 0
        assert {key: row[place] for key, row in after.items()} == {
            key: alone.get(key, [nothing])[0] for key in after
        }
        if name in ("clicks", "visitors"):
            assert told.exact
            assert {key: row[place] for key, row in after.items()} == {
                key: row[place] for key, row in before.items()
            }


@pytest.mark.parametrize("by", [[], ["tag", "is_bot"], ["time:week", "site_id"]], ids=str)
async def test_all_metrics_at_once_say_what_each_says_alone(world, by):
    asking = Asking(world)
    await asking.take(900)
    await retain(asking, raw=30, days_after_april=40)
    every = {"metrics": list(METRICS), "dimensions": by, "include": {"bots": True}}
    rows, told = await asking.answer(every)
    assert rows
    lacks = lacking(every, told)
    assert lacks >= {"last_at"}
    for place, name in enumerate(METRICS):
        alone, told = await asking.answer(every | {"metrics": [name]})
        of = "visitors" if name == "percentage" else name
        assert bool(lacking({"metrics": [name]}, told)) == (of in lacks), name
        for key, row in rows.items():
            there = alone[key][0] if key in alone else NOTHING.get(METRICS[name].unit)
            assert same(row[place], there) or (name == "percentage" and row[place] == 0), (name, key)
        assert alone.keys() <= rows.keys()


async def test_pages_and_totals_are_those_of_all_parts_together(world):
    asking = Asking(world)
    await asking.take(600, keep=of_utc)
    await retain(asking, raw=30, days_after_april=40)
    body = {
        "metrics": ["last_at", "clicks"],
        "dimensions": ["country"],
        "order_by": [["clicks", "desc"], ["country", "asc"]],
    }
    whole, _ = await asking.answer(body)
    paged = {}
    for offset in range(0, len(whole) + 2, 2):
        page, told = await asking.answer(body | {"pagination": {"limit": 2, "offset": offset}})
        assert lacking(body, told) == {"last_at"}
        paged |= page
    assert list(paged.items()) == list(whole.items())
    assert len(whole) > 3


async def test_the_report_of_a_link_keeps_its_clicks(world):
    asking = Asking(world)
    await asking.take(900, keep=of_utc)
    dates = [("start_date", "2026-03-01"), ("end_date", "2026-04-30")]

    async def find_link(_workspace, link):
        return SimpleNamespace(id=link, code="one", url="https://example.com", title="One")

    async def report():
        context = Context(
            workspace_id="acme",
            asked=parse(LINK.params, dates, NOW, defaults={}, first=None),
            complete_through=None,
            engine=Engine(world.store, RollupState(world.database), small=0),
            find_link=find_link,
            find_links=None,
            networks=None,
            timeout=10.0,
            path={"id": "link_1"},
        )
        return await LINK.run(context)

    before = await report()
    assert before.meta.exact
    assert before.data.clicks > 10
    await retain(asking, raw=30, days_after_april=40)
    after = await report()
    assert after.data == before.data  # the last click was in April, whose events are kept
    assert [w.partition(": ")[0] for w in after.meta.warnings if "no longer kept" in w] == ["last_at"]
    assert sum(point.clicks for point in after.data.timeseries) == after.data.clicks
    await retain(asking, raw=30, days_after_april=400)
    gone = await report()
    assert gone.data.last_click_at is None
    assert (gone.data.clicks, gone.data.visitors) == (before.data.clicks, before.data.visitors)


@pytest.mark.parametrize("raw", [30, FOREVER])
async def test_what_is_deleted_while_a_question_waits_is_in_its_answer_or_missed(world, raw):
    """However long it waits for its turn."""
    asking = Asking(world)
    await asking.take(600)
    body = {"metrics": ["clicks", "last_at"], "dimensions": ["country"]}
    before, _ = await asking.answer(body)
    real, nights = world.store.query, []

    async def query(sql, parameters=None, **limits):
        if not nights and "AS g0" in sql:
            nights.append("")
            rollups = 45 if raw == FOREVER else FOREVER
            await retain(asking, raw=raw, rollups=rollups, days_after_april=100)
        return await real(sql, parameters, **limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.store, "query", query)
        rows, told = await asking.answer(body)
    assert nights
    missing = lacking(body, told)
    assert missing == (set() if raw == FOREVER else {"clicks", "last_at"})  # at the edges of zones
    assert (rows == before) == (not missing)


async def test_the_ledger_is_read_once_for_all_who_ask(world):
    await Asking(world).take(100)
    reads = []

    class Counted:
        async def read(self, work):
            reads.append(work)
            return await world.database.read(work)

    stored = StoredEvents(Counted())
    found = await asyncio.gather(*(stored.of("acme") for _ in range(8)))
    assert all(each == found[0] for each in found)
    assert sum(found[0].sites.values()) == len(world.events)
    assert len(reads) == 2 + 8  # a page and its lines; and the positions, which are those of the moment


async def test_events_that_outlive_their_rollups_are_counted(world):
    asking = Asking(world)
    await asking.take(600)
    body = {"metrics": ["clicks", "visitors", "sessions"], "dimensions": ["site_id"]}
    before = await asking.answer(body)
    await retain(asking, rollups=45, days_after_april=90)
    assert (await world.builds.manifest()).entries == ()
    rows, told = await asking.answer(body)
    assert rows == before[0]
    assert told.exact
    # What is imported about that time is sliced, and goes again.
    await asking.take(100)
    rows, told = await asking.answer(body)
    assert sum(row[2] for row in rows.values()) > sum(row[2] for row in before[0].values())
    assert told.exact
    await retain(asking, rollups=45, days_after_april=91)
    assert (await asking.answer(body))[0] == rows


@pytest.mark.parametrize("site", ["berlin", "york"])  # its April begins before that of UTC, or after
async def test_the_day_at_the_border_is_whole_or_said_to_be_missing(world, site):
    asking = Asking(world)
    await asking.take(900, keep=lambda visit: visit[0]["site_id"] == site)
    body = {"metrics": ["events"], "dimensions": ["country"], "site_id": site, "timezone": ZONES[site]}
    days = {
        day: body | {"date_range": [day, "2026-04-02"]} for day in ("2026-03-31", "2026-04-01", "2026-04-02")
    }
    before = {day: (await asking.answer(asked))[0] for day, asked in days.items()}
    await retain(asking, raw=30, rollups=45, days_after_april=60)  # events of both months, rollups of March
    assert await world.store.query("SELECT count() FROM events") == [(0,)]
    for day, asked in days.items():
        rows, told = await asking.answer(asked)
        # York's April begins at 4:00 UTC; Berlin's at 22:00 UTC on the last of March, with which it went.
        is_whole = day == "2026-04-02" or (day == "2026-04-01" and site == "york")
        assert (rows == before[day]) == is_whole, day
        assert bool(lacking(asked, told)) != is_whole


async def test_what_else_visitors_did_at_a_site_whose_events_are_gone_is_missing(world):
    asking = Asking(world)
    await asking.take(300, keep=lambda visit: visit[0]["site_id"] in ("berlin", "york"))
    job = asking.retention()
    await job.set_raw_days("berlin", 0)
    await world.two_nights(job)
    assert {
        site
        for (site,) in await world.store.query(
            "SELECT DISTINCT site_id FROM events WHERE occurred_at < '2026-04-01'"
        )
    } == {"berlin"}
    body = {"metrics": ["events"], "site_id": "berlin"}
    _, told = await asking.answer(body)
    assert told.exact
    _, told = await asking.answer(body | {"filters": [["has_done", ["is", "event_type", ["click"]]]]})
    assert told.exact  # it is made of that site's events only
    _, told = await asking.answer(body | {"metrics": ["bounce_rate"]})
    assert told.exact
    everywhere = {"metrics": ["events"], "filters": [["has_done", ["is", "event_type", ["click"]]]]}
    _, told = await asking.answer(everywhere)
    assert lacking(everywhere, told) == {"events"}
    # A visit may have gone on at the other site.
    _, told = await asking.answer({"metrics": ["bounce_rate"]})
    assert not told.exact
