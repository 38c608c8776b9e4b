"""A loop in trouble shows where somebody looks: in /health/ready at once, and as an alert."""

import asyncio

import pytest

from footfall import components
from footfall.eventlog import group_commit, open_log
from footfall.eventlog.port import Entry
from footfall.eventlog.sqlite import writer
from footfall.runtime.alerts import DOOR, Alerts
from footfall.runtime.background import every
from footfall.settings import load

pytestmark = pytest.mark.anyio


async def test_health_names_a_loop_that_fails_and_the_alert_begins_and_ends(tmp_path):
    settings = load(data=tmp_path)
    log = await open_log(settings)
    conditions = Alerts(settings, DOOR)
    broken = True

    async def work():
        if broken:
            raise ValueError("odd")

    async with asyncio.timeout(30), every("clicks", 0.001, work):
        while (health := await components.state_of(log, conditions))["status"] == "ok":
            await asyncio.sleep(0.001)
        assert health["loops"] == [{"loop": "clicks", "problem": "fails"}]
        for _ in range(2):
            await conditions.look()
        alerts = (await components.state_of(log, conditions))["alerts"]
        assert "loops" in [alert["condition"] for alert in alerts]
        broken = False
        while "loops" in (health := await components.state_of(log, conditions)):
            await asyncio.sleep(0.001)
        await conditions.look()
        assert "loops" not in [a["condition"] for a in (await components.state_of(log, conditions))["alerts"]]
    await log.close()


async def test_the_log_goes_on_when_its_look_for_left_over_work_fails(tmp_path, monkeypatch):
    """A disk that cannot be asked whether a file is there: the thread behind every append lives on."""
    monkeypatch.setattr(group_commit, "_IDLE", 0.001)
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fails(_self):
        loop.call_soon_threadsafe(looked.set)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer.Shard, "tidy", fails)
    log = await open_log(load(data=tmp_path))
    async with asyncio.timeout(30):
        await looked.wait()
        await log.append(Entry("key", b"a record"))
        await log.close()
