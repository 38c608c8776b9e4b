"""The table of contents: settings -> adapters -> roles. The only place that wires.

    run_collect   the door        log (writes), directory, salts, geo
    run_work      the worker      log (reads), store, state; with the console in the same process
    run_query     the console     store, tenants, imports

Each runs until SIGTERM or SIGINT: stop accepting, make durable what was accepted, let the
running insert close, return.

Parts are imported by the role that needs them: the door must stay small, and only the owner
of the embedded store may load the engine.
"""
# ruff: noqa: PLC0415 -- see the last paragraph above

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from footfall import logs, runfile
from footfall.background import every, first_to_end
from footfall.database import Database
from footfall.eventlog import open_log
from footfall.eventlog.port import WORKER, EventLog
from footfall.metrics import LOG_BACKLOG, LOG_OLDEST_SECONDS
from footfall.settings import Settings
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants

if TYPE_CHECKING:
    from footfall.state.salts import Salts
    from footfall.store.port import Store
    from footfall.tenants.directory import Directory
    from footfall.worker.loop import Worker

_SALTS_EVERY = 3600.0
_RETAIN_EVERY = 60.0


async def prepare(settings: Settings) -> str | None:
    """Make the data directory usable. Returns the admin key's secret if this was the first start."""
    async with _tenants(settings) as tenants:
        return await tenants.bootstrap(settings.admin_key.get_secret_value())


async def migrate(settings: Settings) -> Sequence[str]:
    """Bring the store's schema up to date. Returns the migrations applied now."""
    async with _store(settings) as store:
        return await store.migrate()


async def run_collect(settings: Settings) -> None:
    """The door."""
    from footfall.collect.app import create_app
    from footfall.collect.clicks import Clicks
    from footfall.collect.client import Proxies
    from footfall.collect.door import Door
    from footfall.collect.tally import Tallies
    from footfall.collect.visits import Visitors
    from footfall.enrich.geo import GeoReader
    from footfall.server import serve_http

    logs.configure(settings.log_level)
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        eventlog = await stack.enter_async_context(_eventlog(settings, "claim"))
        tenants = await stack.enter_async_context(_tenants(settings))
        directory = await stack.enter_async_context(_directory(settings, tenants))
        salts = await stack.enter_async_context(_salts(settings))
        tallies = await stack.enter_async_context(Tallies(eventlog, DEFAULT_WORKSPACE))
        clicks = await stack.enter_async_context(Clicks(eventlog, settings.redirect_cap))
        door = Door(
            settings=settings,
            log=eventlog,
            directory=directory,
            visitors=Visitors(GeoReader(settings.geo_database), salts),
            proxies=Proxies(settings.trusted_proxies),
            clicks=clicks,
            tallies=tallies,
            ready=lambda: _log_state(eventlog),
            wait_for_log=settings.redirect_mode == "durable",
        )
        await serve_http(create_app(door), settings.host, settings.port, stop)


async def run_work(settings: Settings, *, with_query: bool) -> None:
    """The worker; with the console, where the store is embedded and has one owner."""
    from footfall.server import serve_http

    logs.configure(settings.log_level)
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        eventlog = await stack.enter_async_context(_eventlog(settings, "none"))
        store = await stack.enter_async_context(_store(settings))
        await store.migrate()
        worker = await stack.enter_async_context(_worker(settings, eventlog, store))
        if not with_query:
            await worker.run(stop)
            return
        app = await stack.enter_async_context(_console(settings, store, eventlog, worker))
        serving = serve_http(app, settings.host, settings.console_port, stop)
        await first_to_end((worker.run(stop), serving), stop)


async def run_query(settings: Settings) -> None:
    """The console alone."""
    from footfall.server import serve_http

    logs.configure(settings.log_level)
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        eventlog = await stack.enter_async_context(_eventlog(settings, "none"))
        store = await stack.enter_async_context(_store(settings))
        await store.migrate()
        app = await stack.enter_async_context(_console(settings, store, eventlog, None))
        await serve_http(app, settings.host, settings.console_port, stop)


@asynccontextmanager
async def own_console(settings: Settings, token: str) -> AsyncGenerator[Any]:
    """The console's application inside this process, with a worker beside it, for one command.

    `token` is worth an admin key. What was imported is stored when the block ends.
    """
    async with AsyncExitStack() as stack:
        await prepare(settings)
        eventlog = await stack.enter_async_context(_eventlog(settings, "none"))
        store = await stack.enter_async_context(_store(settings))
        await store.migrate()
        worker = await stack.enter_async_context(_worker(settings, eventlog, store))
        await worker.drain()
        app = await stack.enter_async_context(_console(settings, store, eventlog, worker, token))
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        try:
            yield app
        finally:
            stop.set()
            await working
            await worker.drain()


# The parts, each opened and closed.


@asynccontextmanager
async def _eventlog(settings: Settings, shard: Literal["claim", "none"]) -> AsyncGenerator[EventLog]:
    """The log, with retention running; `claim` to append to it."""
    eventlog = await open_log(settings, shard=shard)

    async def retain() -> None:
        await eventlog.retain(time.time() - settings.log_retention)

    try:
        with every(_RETAIN_EVERY, retain):
            yield eventlog
    finally:
        await eventlog.close()


@asynccontextmanager
async def _tenants(settings: Settings) -> AsyncGenerator[Tenants]:
    database = open_metadata(settings.data / "meta.db")
    try:
        yield Tenants(database, settings)
    finally:
        await database.close()


@asynccontextmanager
async def _directory(settings: Settings, tenants: Tenants, token: str = "") -> AsyncGenerator["Directory"]:
    """The cache in front of the tenants. It also knows the local token: `token`, or that of run.json."""
    from footfall.tenants.directory import Directory

    def is_local(secret: str) -> bool:
        return runfile.is_token(settings.data, secret, token)

    directory = Directory(tenants, settings, is_local)
    await directory.start()
    try:
        yield directory
    finally:
        await directory.stop()


@asynccontextmanager
async def _state(settings: Settings) -> AsyncGenerator[Database]:
    from footfall.state.tables import open_state

    database = open_state(settings.data / "state.db")
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _salts(settings: Settings) -> AsyncGenerator["Salts"]:
    from footfall.state.salts import Salts

    async with _state(settings) as state:
        salts = Salts(state)

        async def refresh() -> None:
            await salts.refresh(time.time())

        await refresh()
        with every(_SALTS_EVERY, refresh):
            yield salts


@asynccontextmanager
async def _store(settings: Settings) -> AsyncGenerator["Store"]:
    from footfall.store import open_store

    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _worker(settings: Settings, eventlog: EventLog, store: "Store") -> AsyncGenerator["Worker"]:
    from footfall.worker.open import open_worker

    async with _state(settings) as state, open_worker(eventlog, store, state, settings) as worker:
        yield worker


@asynccontextmanager
async def _console(
    settings: Settings, store: "Store", eventlog: EventLog, worker: "Worker | None", token: str = ""
) -> AsyncGenerator[Any]:
    """The console's application. Imports append to a shard of their own, claimed by the first one."""
    from footfall.imports.open import open_imports
    from footfall.local_token import only_from_here
    from footfall.query.dead_letters import dead_letter_routes
    from footfall.query.ledger import ledger_routes
    from footfall.query.routes import create_app
    from footfall.state.dead_letters import DeadLetters
    from footfall.state.ledger import Ledger
    from footfall.tenants.routes import tenant_routes
    from footfall.worker.in_flight import InFlightCounter

    async with AsyncExitStack() as stack:
        tenants = await stack.enter_async_context(_tenants(settings))
        directory = await stack.enter_async_context(_directory(settings, tenants, token))

        async def open_shard() -> EventLog:
            return await stack.enter_async_context(_eventlog(settings, "claim"))

        async def ready() -> dict[str, object]:
            await store.ping()
            return await _log_state(eventlog)

        async def complete_through() -> datetime | None:
            at = worker.complete_through if worker else 0.0
            return datetime.fromtimestamp(at, UTC) if at else None

        state = await stack.enter_async_context(_state(settings))
        salts = await stack.enter_async_context(_salts(settings))
        imports = await stack.enter_async_context(
            open_imports(open_shard, store, state, salts, tenants, directory, settings.geo_database)
        )
        app = create_app(
            store=store,
            directory=directory,
            find_link=tenants.link,
            settings=settings,
            ready=ready,
            complete_through=complete_through,
            routers=[
                *tenant_routes(tenants, directory),
                imports,
                ledger_routes(Ledger(state), directory, InFlightCounter(eventlog), complete_through),
                dead_letter_routes(DeadLetters(state), directory),
            ],
        )
        yield only_from_here(app)


async def _log_state(eventlog: EventLog) -> dict[str, object]:
    backlog = await eventlog.backlog(WORKER)
    LOG_BACKLOG.set(backlog.records)
    LOG_OLDEST_SECONDS.set(backlog.oldest_age)
    return {"log": {"waiting_records": backlog.records, "oldest_seconds": round(backlog.oldest_age, 3)}}


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
