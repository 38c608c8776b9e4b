"""One event that the rollups lack is seen however many events there are."""

import asyncio

import pytest

from footfall.rollups.covered import not_covered
from footfall.state.retention import Item
from footfall.verify.rollups import RollupVerifier
from tests.contract.rollups.test_retention import APRIL
from tests.contract.sliced import DAY, END, START

pytestmark = pytest.mark.anyio


async def test_one_event_too_few_of_millions_is_seen_before_they_go(world):
    events = world.made(40, START, APRIL)
    same = {"site_id": "berlin", "workspace_id": "acme", "sample_weight": 1.0, "is_bot": False}
    for each in events:
        each.update(same, occurred_at=START + 3_600_000, received_at=START + 3_600_000)
    events[0]["sample_weight"] = 2_000_000.0
    await world.take(events)
    await world.rollups.slice_all()
    item = Item("events", 202603, "berlin")
    verifier = RollupVerifier(world.store, world.builds)
    assert await not_covered(world.store, world.builds, [item]) == set()
    assert await verifier.run(START - DAY, END, None) == []
    await asyncio.to_thread(
        world.store._handles.commands.command,
        "ALTER TABLE rollups UPDATE events = events - 1 WHERE cube = 'total' AND event_type ="
        f" '{events[0]['event_type']}' SETTINGS mutations_sync = 1",
    )
    assert await not_covered(world.store, world.builds, [item]) == {item}
    assert await verifier.run(START - DAY, END, None)
