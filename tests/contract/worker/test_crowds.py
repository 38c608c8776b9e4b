"""A crowd at one site, true or made up by a stranger, does nothing to what is remembered of others."""

import pytest

from footfall.model.record import Record, SenderContext, encode
from tests.contract.installation import MINUTE, NOW, event

pytestmark = pytest.mark.anyio

BATCH = 100
MIDNIGHT = (NOW // 86_400_000 - 1) * 86_400_000


async def visits(world, worker, visitors, site, source, at=NOW, **fields):
    """An event of each, in batches of their own."""
    for first in range(0, len(visitors), BATCH):
        events = [
            event(visitor_id=visitor, site_id=site, occurred_at=at, **fields)
            for visitor in visitors[first : first + BATCH]
        ]
        await world.append_raw(encode(Record(1, at, "acme", source, events, [SenderContext()])))
        await worker.drain()


async def sessions(world, site, source):
    """Sessions and events of those who were there first."""
    return (
        await world.store.query(
            "SELECT uniqExact(session_id), count() FROM events WHERE site_id = {site:String}"
            " AND source = {source:String} AND visitor_id < 1000",
            {"site": site, "source": source},
        )
    )[0]


@pytest.fixture
def world(eager):
    return eager


@pytest.mark.parametrize("restarts", ["never", "after the crowd", "between them"])
@pytest.mark.parametrize(
    ("site", "source"), [("shop", "beacon"), ("mine", "api")], ids=["at another site", "with a key"]
)
async def test_a_crowd_ends_no_visits_but_its_own(world, site, source, restarts):
    few = range(1, 41)
    memory = {"session_memory": 200, "batch_rows": BATCH}
    worker = await world.worker(**memory)
    await visits(world, worker, few, site, source)
    if restarts == "between them":
        worker = await world.worker(**memory)
    await visits(world, worker, range(1001, 2001), "mine", "beacon", NOW + 1)
    if restarts == "after the crowd":
        worker = await world.worker(**memory)
    await visits(world, worker, few, site, source, NOW + MINUTE)
    assert tuple(await sessions(world, site, source)) == (40, 80)


async def test_a_crowd_of_the_past_ends_no_visits_of_the_past(world):
    few = range(1, 11)
    worker = await world.worker(session_memory=500, batch_rows=BATCH)
    then = NOW - 600 * MINUTE
    for who, site, source, at in (
        (few, "shop", "api", then),
        (range(1001, 1501), "mine", "beacon", then),
        (few, "shop", "api", then + MINUTE),
    ):
        events = [event(visitor_id=visitor, site_id=site, occurred_at=at) for visitor in who]
        await world.append_raw(encode(Record(1, NOW, "acme", source, events, [SenderContext()])))
        await worker.drain()
    assert tuple(await sessions(world, "shop", "api")) == (10, 20)


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_crowd_at_midnight_cuts_no_visits_of_others(world, restarts):
    few = list(range(1, 21))
    worker = await world.worker(session_memory=100, batch_rows=BATCH)

    async def come(pairs, site, at):
        events = [
            event(visitor_id=now, device_hash=now, previous_device=before, site_id=site, occurred_at=at)
            for before, now in pairs
        ]
        await world.append_raw(encode(Record(1, at, "acme", "beacon", events, [SenderContext()])))
        await worker.drain()

    await come([(0, visitor) for visitor in few], "shop", MIDNIGHT - MINUTE)
    pairs = [(visitor, visitor + 100) for visitor in few]
    await come(pairs, "shop", MIDNIGHT + MINUTE)
    await come([(n, n + 5000) for n in range(2000, 2300)], "mine", MIDNIGHT + MINUTE)
    if restarts:
        worker = await world.worker(session_memory=100, batch_rows=BATCH)
    await come([(0, now) for _, now in pairs], "shop", MIDNIGHT + 2 * MINUTE)
    assert tuple(await sessions(world, "shop", "beacon")) == (20, 60)
