"""The components of an installation, opened and closed: `async with components.with_store(settings)`.

Imported by the role that needs them, for the reason that `main.py` gives.
"""
# ruff: noqa: PLC0415 -- see above

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

from footfall.database import Database, is_whole, place_of
from footfall.errors import Retryable
from footfall.eventlog import ELSEWHERE, open_log
from footfall.eventlog.port import WORKER, EventLog
from footfall.metrics import LOG_BACKLOG, LOG_OLDEST_SECONDS
from footfall.runtime import alerts, data_directory
from footfall.runtime.background import beside, every, troubles
from footfall.runtime.damage import DATABASES
from footfall.settings import Settings
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants

if TYPE_CHECKING:
    from footfall.collect.door import Door
    from footfall.rollups.maintenance import RollupMaintainer
    from footfall.state.losses import Reserve
    from footfall.state.salts import Salts
    from footfall.store.port import Store
    from footfall.tenants.directory import Directory
    from footfall.worker.loop import Worker

_TICK = 60.0
_SALTS_LOOK = 1.0
_RETAIN_EVERY = 60.0
_LOSSES_EVERY = 300.0
_LONGEST_RETAIN = 600.0
_TOPIC_EVERY = 0.05
_TOPIC_ROUNDS = 20
_TOPIC_GRACE = 3.0
_OUTGOING_EVERY = 0.5
_LONGEST_NIGHT = 12 * 3600.0


@asynccontextmanager
async def with_eventlog(settings: Settings, shard: Literal["claim", "none"]) -> AsyncGenerator[EventLog]:
    """The log, with retention running; `claim` to append to it."""
    from footfall.state.days_seen import DaysSeen

    async with with_state(settings) as state:
        if shard == "claim" and settings.log in ELSEWHERE:
            await _tell_the_log(settings, state)
        eventlog = await open_log(settings, shard=shard)
        days = DaysSeen(state)

        async def retain() -> None:
            await eventlog.retain(await days.now() - settings.log_retention)

        try:
            async with every("log_retention", _RETAIN_EVERY, retain, slow=_LONGEST_RETAIN):
                yield eventlog
        finally:
            await eventlog.close()


async def _tell_the_log(settings: Settings, state: Database) -> None:
    """What is closed is committed in the log before a door writes there: see `installation`."""
    from footfall.state.batches import Batches

    eventlog = await open_log(settings, shard="none")
    try:
        for shard, offset in (await Batches(state).positions()).items():
            await eventlog.commit(WORKER, shard, offset)
    finally:
        await eventlog.close()


@asynccontextmanager
async def with_tenants(settings: Settings) -> AsyncGenerator[Tenants]:
    """Workspaces, sites, links and keys. Raises Misconfigured."""
    database = open_metadata(place_of(settings, "meta"))
    try:
        yield Tenants(database, settings)
    finally:
        await database.close()


@asynccontextmanager
async def with_directory(
    settings: Settings, tenants: Tenants, local: str | None = None
) -> AsyncGenerator["Directory"]:
    """The cache in front of the tenants.

    At the console (`local` is not None) commands on this machine are known by their token: `local`, or
    that of run.json.
    """
    from footfall.tenants.directory import Directory

    def is_local(secret: str) -> bool:
        return local is not None and data_directory.is_token(settings.data, secret, local)

    directory = Directory(tenants, settings, is_local)
    await directory.start()
    try:
        yield directory
    finally:
        await directory.stop()


@asynccontextmanager
async def with_state(settings: Settings) -> AsyncGenerator[Database]:
    """The state database. Raises Misconfigured."""
    from footfall.state.tables import open_state

    database = open_state(place_of(settings, "state"))
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def with_salts(settings: Settings) -> AsyncGenerator["Salts"]:
    """The salts, kept current."""
    from footfall.state.days_seen import DaysSeen
    from footfall.state.salts import Salts

    async with with_state(settings) as state:
        salts, days = Salts(state), DaysSeen(state)

        async def refresh() -> None:
            await salts.refresh(time.time(), await days.now())

        async def after_a_sleep() -> None:
            if not salts.are_current(time.time()):
                await refresh()

        await refresh()
        async with every("salts", _TICK, refresh), every("salts_after_sleep", _SALTS_LOOK, after_a_sleep):
            yield salts


@asynccontextmanager
async def with_losses(settings: Settings) -> AsyncGenerator["Reserve | None"]:
    """Room on the disk for what a door has lost at its end; what others have kept there is booked."""
    from footfall.state.losses import Reserve, book_losses

    async with with_state(settings) as state:

        async def book() -> None:
            await book_losses(settings.data, state)

        async with every("losses", _LOSSES_EVERY, book) as loop:
            loop.wake()  # at once, but not before the door opens
            reserve = Reserve.open(settings.data)
            try:
                yield reserve
            finally:
                if reserve:
                    reserve.close()


@asynccontextmanager
async def with_topic_clicks(settings: Settings, door: "Door") -> AsyncGenerator[None]:
    """What other services write to `clicks_topic` comes in too, as soon as its brokers answer.

    Raises Misconfigured.
    """
    if not settings.read_clicks:
        yield
        return
    from footfall.collect.topic_clicks import TopicClicks
    from footfall.state.dead_letters.letters import MAX_BYTES, MAX_LETTERS, DeadLetters
    from footfall.topics.inbox import Inbox

    async with with_state(settings) as state:
        letters = DeadLetters(state)

        async def full() -> bool:
            size = await letters.size()
            return size.letters > MAX_LETTERS // 2 or size.bytes > MAX_BYTES // 2

        inbox = Inbox(settings)
        topic = TopicClicks(door, inbox, full)

        async def work() -> None:
            for _ in range(_TOPIC_ROUNDS):
                if not await topic.work():
                    return
            loop.wake()

        try:
            with suppress(Retryable):  # a door takes what it can; that loop says what is wrong
                await inbox.find()
            async with every("clicks_topic", _TOPIC_EVERY, work, grace=_TOPIC_GRACE) as loop:
                yield
        finally:
            await inbox.close()


@asynccontextmanager
async def with_outgoing(settings: Settings, store: "Store") -> AsyncGenerator[None]:
    """Stored events go to `events_topic`, if that is set. Raises Misconfigured."""
    if not settings.events_topic:
        yield
        return
    from footfall.state.outgoing import Outgoing
    from footfall.topics.outbox import Outbox
    from footfall.worker.outgoing import Publisher

    async with with_state(settings) as state:
        outbox = Outbox(settings)
        publisher = Publisher(store, Outgoing(state), outbox)

        async def work() -> None:
            if await publisher.work():
                loop.wake()

        try:
            async with every("events_topic", _OUTGOING_EVERY, work) as loop:
                yield
        finally:
            await outbox.close()


@asynccontextmanager
async def with_store(settings: Settings) -> AsyncGenerator["Store"]:
    """The store. Raises Misconfigured when another process has the data directory."""
    from footfall.store import open_store

    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def with_current_store(settings: Settings) -> AsyncGenerator["Store"]:
    """The store, with its schema up to date. Raises Misconfigured also when it is older than state.db."""
    from footfall.rebuild.older_store import check

    async with with_store(settings) as store:
        await store.migrate()
        async with with_state(settings) as state:
            await check(store, state, settings.data)
        yield store


@asynccontextmanager
async def with_worker(settings: Settings, eventlog: EventLog, store: "Store") -> AsyncGenerator["Worker"]:
    """The worker, with its lease. Raises Conflict when there is another one."""
    from footfall.worker.open import open_worker

    async with with_state(settings) as state, open_worker(eventlog, store, state, settings) as worker:
        yield worker


@asynccontextmanager
async def with_rollups(
    settings: Settings, store: "Store", worker: "Worker"
) -> AsyncGenerator["RollupMaintainer"]:
    """Rollups of what the worker stores, kept current; and retention, which only deletes what they have."""
    from footfall.retention.policy import Retention, at_start, nightly_retention
    from footfall.rollups.maintenance import RollupMaintainer, running
    from footfall.state import closings
    from footfall.state.days_seen import DaysSeen

    async with with_state(settings) as state, with_tenants(settings) as tenants:
        rollups = RollupMaintainer(store, state, worker.fence, tenants.timezones, settings)
        days = DaysSeen(state)
        retention = Retention(store, state, settings, rollups, worker.fence, days.now)
        night = nightly_retention(retention, settings.data)
        foretell = at_start(retention)

        async def tick() -> None:
            believed = await days.now()  # every minute, so that a jump of the clock is seen as one
            await closings.mark(state, worker.fence, time.time(), believed)
            await night.tick()
            if foretold.done():  # whether it went well or not
                await foretell()

        async with running(rollups):
            foretold = beside("retention_foretold", foretell())
            try:
                async with every("retention", _TICK, tick, slow=_LONGEST_NIGHT):
                    yield rollups
            finally:
                foretold.cancel()


@asynccontextmanager
async def with_alerts(
    settings: Settings, knows: Sequence[str], measure: Callable[[], Awaitable[None]]
) -> AsyncGenerator[alerts.Alerts]:
    """The alert conditions that this process knows of, looked at every few seconds after `measure`."""
    conditions = alerts.Alerts(settings, knows)

    async def look() -> None:
        with suppress(Retryable):  # a full disk must not keep the alert about it from being seen
            await measure()
        if DATABASES:
            await asyncio.to_thread(DATABASES.look_again, is_whole)
        await conditions.look()

    async with every("alerts", alerts.EVERY, look):
        yield conditions


async def measure_log(eventlog: EventLog) -> None:
    """Set the gauges of the backlog."""
    backlog = await eventlog.backlog(WORKER)
    LOG_BACKLOG.set(backlog.records)
    LOG_OLDEST_SECONDS.set(backlog.oldest_age)


async def state_of(eventlog: EventLog, conditions: alerts.Alerts) -> dict[str, object]:
    """For /health/ready. Raises Retryable when the log does not answer."""
    backlog = await eventlog.backlog(WORKER)
    log = {"waiting_records": backlog.records, "oldest_seconds": round(backlog.oldest_age, 3)}
    health = conditions.health()
    if wrong := troubles():
        # Asked now, not at the last look: the loop that looks may be the one.
        health |= {"status": "degraded", "loops": [trouble._asdict() for trouble in wrong]}
    return health | {"log": log}
