"""A batch was left open, and the log lacks an end of it without a word: an alert names the shard."""

import asyncio
import shutil

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from footfall.eventlog.sqlite.files import list_segments, shard_directory
from footfall.runtime.alerts import WORKER, Alerts
from tests.contract.installation import Crash, crash, drain, settled, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def missing(eager):
    """A batch left open, and where its segment is now; it is known nowhere that there was one."""
    world = eager
    await world.append(3, 4)
    world.hooks["after batches.plan"] = crash
    with pytest.raises(Crash):
        await drain(world)
    world.hooks.clear()
    shard, data = world.writers[0].shard, world.settings.data
    await world.writers[0].close()
    shutil.rmtree(data / "log-ends")
    (segment,) = list_segments(shard_directory(data / "log", shard))
    away = segment.path.with_suffix(".away")
    segment.path.rename(away)
    return shard, lambda: away.rename(segment.path)


async def test_the_worker_waits_with_an_alert_that_names_the_shard(eager, missing):
    world, (shard, bring_back) = eager, missing
    name = f"{shard:016x}"

    async def waits(value=1):
        return REGISTRY.get_sample_value("footfall_worker_planned_missing", {"shard": name}) == value

    alerts = Alerts(world.settings, WORKER)
    with capture_logs() as said:
        working = asyncio.create_task(drain(world))
        await until(waits)
        await alerts.look()
        await alerts.look()
        await asyncio.sleep(0)
        assert [each["shard"] for each in said if each["event"] == "the worker pauses"] == [name]
        (begun,) = [each for each in said if each.get("condition") == "planned_missing"]
        assert (begun["event"], begun["shard"]) == ("alert.begins", name)
    (held,) = [each for each in alerts.health()["alerts"] if each["condition"] == "planned_missing"]
    assert held["shard"] == name
    assert not working.done()
    bring_back()
    assert await working == 7
    await settled(world, rows=7, received=7, stored=7)
    assert await waits(0)
    await alerts.look()
    assert all(each["condition"] != "planned_missing" for each in alerts.health()["alerts"])
