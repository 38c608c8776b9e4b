"""The client with a task, against the real door."""

import asyncio

import httpx
import pytest

from footfall.client import AsyncClient, Limits
from footfall.eventlog.memory import MemoryLog
from footfall.model.ids import format_event_id, parse_event_id
from tests.contract.door import KEY, open_door

pytestmark = pytest.mark.anyio

SOON = Limits(linger=0.001, backoff=0.001, backoff_max=0.01)


class Keys(MemoryLog):
    """A log that notes the routing keys, and refuses while it is told to."""

    def __init__(self):
        super().__init__(1 << 20)
        self.keys = []

    async def append(self, entry):
        self.keys.append(entry.key)
        await super().append(entry)


def client(rig, **options):
    options = {"key": KEY, "limits": SOON} | options
    return AsyncClient("http://localhost:8000", transport=rig.http._transport, **options)


async def test_what_is_tracked_is_in_the_log(tmp_path):
    log = Keys()
    async with open_door(tmp_path, eventlog=log) as rig:
        async with client(rig, queue_id="worker-3") as sdk:
            one = sdk.track("signup", {"plan": "team"}, visitor_id="u1", page_url="https://example.com/")
            more = sdk.track_many([{"event_type": "conversion", "properties": {"name": "order"}}] * 2)
            assert await sdk.flush(30)
            assert sdk.stats().accepted == 3
        events = await rig.events()
        assert [format_event_id(event.event_id) for event in events] == [one, *more]
        assert events[0].client_id
        assert (events[0].properties, events[0].page_url) == ('{"plan":"team"}', "https://example.com/")
        assert set(log.keys) == {"worker-3"}
        assert {record.source for record in await rig.records()} == {"api"}


async def test_the_doors_verdicts(tmp_path):
    refused = []
    async with open_door(tmp_path) as rig, client(rig, on_error=refused.append) as sdk:
        twice = "0190163d-8694-739b-aea5-966c26f8ad91"
        sdk.track_many([
            {"event_type": "test", "event_id": twice},
            {"event_type": "conversion"},  # has no name
            {"event_type": "test", "event_id": twice},
            {"event_type": "test", "properties": {"text": "\ud83d"}},
            {"event_type": "test", "properties": {"big": 2**70, "half": "\ud83d"}},
        ])  # fmt: skip
        assert not await sdk.flush(30)
        stats = sdk.stats()
        assert (stats.accepted, stats.duplicate, stats.rejected) == (2, 1, {"invalid_property": 2})
        assert [(r.reason, r.field) for r in refused] == [
            ("invalid_property", "properties.name"),
            ("invalid_property", "properties.big"),
        ]
        assert {event.event_id for event in await rig.events()} >= {parse_event_id(twice)}


async def test_batches_shrink_to_what_the_door_takes(tmp_path):
    async with open_door(tmp_path, max_events=7) as rig, client(rig) as sdk:
        ids = sdk.track_many([{"event_type": "test"}] * 100)
        assert await sdk.flush(30)
        assert sdk.stats().accepted == 100
        assert [format_event_id(event.event_id) for event in await rig.events()] == ids


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"key": "ff_unknown"}, "http_401"),
        ({"key": "", "site_id": "site_unknown"}, "http_400"),
        ({"site_id": "site_unknown"}, "http_400"),
    ],
)
async def test_who_may_not_write_learns_it(tmp_path, options, reason):
    refused = []
    async with open_door(tmp_path) as rig, client(rig, on_error=refused.append, **options) as sdk:
        sdk.track("test")
        assert not await sdk.flush(30)
        assert sdk.stats().rejected == {reason: 1}
        assert refused[0].message


async def test_a_full_log_is_waited_for(tmp_path, monkeypatch):
    log = Keys()
    async with open_door(tmp_path, eventlog=log) as rig, client(rig) as sdk:
        monkeypatch.setattr(log, "_max_bytes", 0)
        sdk.track("test")
        assert not await sdk.flush(0.05)
        assert sdk.stats().waiting == 1
        assert await rig.events() == []
        # The door says Retry-After: 1.
        monkeypatch.undo()
        assert await sdk.flush(30)
        assert len(await rig.events()) == 1


async def test_a_flush_may_be_cancelled_and_closing_drops_what_is_left():
    never = asyncio.Event()

    async def answer(_):
        await never.wait()
        raise AssertionError

    sdk = AsyncClient("http://door", key="k", limits=SOON, transport=httpx.MockTransport(answer))
    sdk.track("test")
    flush = asyncio.create_task(sdk.flush())
    await asyncio.sleep(0)
    flush.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flush
    assert sdk._core._flushes == []
    assert not await sdk.close(0.01)
    assert sdk.stats().dropped == 1
    with pytest.raises(RuntimeError, match="closed"):
        sdk.track("test")
    assert await sdk.close()


async def test_a_flush_does_not_wait_for_a_task_that_failed(monkeypatch):
    def answer(_):
        return httpx.Response(403)

    sdk = AsyncClient("http://door", key="k", limits=SOON, transport=httpx.MockTransport(answer))

    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(sdk, "_tell", fail)
    monkeypatch.setattr(sdk._core, "settle", fail)
    sdk.track("test")
    assert not await sdk.flush()
    assert isinstance(sdk._task.exception(), RuntimeError)


def test_a_client_survives_its_loop():
    def answer(request):
        return httpx.Response(202, json={"accepted": 1, "rejected": 0, "results": []})

    hang = asyncio.Event()

    async def hanging(request):
        await hang.wait()

    sdk = AsyncClient("http://door", key="k", limits=SOON, transport=httpx.MockTransport(hanging))

    async def first():
        sdk.track("test")
        while not sdk.stats().sent:
            await asyncio.sleep(0.001)
        sdk.track("test")

    async def second():
        sdk._transport = httpx.MockTransport(answer)
        sdk.track("test")
        async with asyncio.timeout(30):
            while sdk.stats().waiting:
                await asyncio.sleep(0.001)
        return await sdk.close(30)

    asyncio.run(first())
    assert sdk.stats().waiting == 2
    assert asyncio.run(second())
    assert sdk.stats().accepted == 3
    with pytest.raises(RuntimeError, match="loop"):
        AsyncClient("http://door", key="k").track("test")
