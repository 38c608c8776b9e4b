"""The table of contents: settings -> parts -> roles.

With `components.py`, which opens and closes each part, the only place that wires.

    run_door   the door        log (writes), directory, salts, geo
    run_worker      the worker      log (reads), store, state; with the console in the same process
    run_console     the console     store, tenants, imports

Each runs until SIGTERM or SIGINT: stop accepting, make durable what was accepted, let the
running insert close, return.

Parts are imported by the role that needs them: the door must stay small, and only the owner
of the embedded store may load the engine.
"""
# ruff: noqa: PLC0415 -- see the last paragraph above

import asyncio
import gc
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from footfall import components, console, installation, parts, stamps
from footfall.errors import Invalid
from footfall.runtime import logs
from footfall.runtime.alerts import DOOR
from footfall.runtime.background import first_to_end
from footfall.runtime.lifetime import lifetime
from footfall.runtime.stopping import stop_on_signals
from footfall.runtime.watchdog import watched
from footfall.settings import Settings
from footfall.tenants.model import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from footfall.database import Place
    from footfall.rebuild import store as replay
    from footfall.rebuild.state import RebuiltState

_POLITE = 5
_DOOR_GRACE = 4  # seconds for running requests at the end: waiting clicks need some of the supervisor's, too


async def prepare(settings: Settings, *, new: bool = False) -> str | None:
    """Make the data directory usable. Returns the admin key's secret if this was the first start.

    `new`: what is gone may begin anew, see `installation.prepare`. Raises Misconfigured when the parts of
    the data directory do not belong together, or are damaged.
    """
    await asyncio.to_thread(installation.prepare, settings, new=new)
    async with components.with_tenants(settings) as tenants:
        return await tenants.bootstrap(settings.admin_key.get_secret_value())


async def migrate(settings: Settings) -> Sequence[str]:
    """Bring the store's schema up to date. Returns the migrations applied now."""
    await asyncio.to_thread(installation.check, settings)
    async with components.with_store(settings) as store:
        return await store.migrate()


async def rebuild_state(settings: Settings, *, new: bool = False) -> "tuple[RebuiltState, Place | None]":
    """Make state.db anew of what the store and the log hold; returns also where the old one lies now.

    `new`: what else is gone may begin anew, see `installation.new_part`.
    Raises Invalid when there is what only the old one could tell, Misconfigured when other parts are wrong.
    """
    from footfall.rebuild.state import rebuild

    async with AsyncExitStack() as stack:
        aside = stack.enter_context(installation.new_part(settings, parts.STATE, new=new))
        eventlog = await stack.enter_async_context(components.with_eventlog(settings, "none"))
        store = await stack.enter_async_context(components.with_store(settings))
        await store.migrate()
        state = await stack.enter_async_context(components.with_state(settings))
        noted = [
            await asyncio.to_thread(stamps.committed_offsets, settings.data / part)
            for part in (parts.LOG, parts.STORE)
        ]
        done = await rebuild(store, eventlog, state, stamps.furthest(*noted))
        # The ids of what is stored are read from the log again.
        (settings.data / "recent-ids").unlink(missing_ok=True)
    return done, aside


async def rebuild_store(
    settings: Settings, *, new: bool = False
) -> "tuple[replay.StoredAgain, Place | None]":
    """An empty store, and a state.db by which the next worker stores again what the log holds.

    Returns also where the old store lies now. `new`: as for `rebuild_state`.
    Raises Invalid when the store is as it should be, Misconfigured
    when other parts are wrong.
    """
    from footfall.rebuild import store as replay
    from footfall.runtime.stopping import no_interrupt_after

    try:
        installation.check_store_is_wrong(settings, new=new)
    except Invalid:
        if not await _lacks_what_was_stored(settings):
            raise
    async with AsyncExitStack() as stack:
        no_way_back = stack.enter_context(no_interrupt_after())  # also while all else is closed
        aside = stack.enter_context(installation.new_part(settings, parts.STORE, new=new))
        eventlog = await stack.enter_async_context(components.with_eventlog(settings, "none"))
        store = await stack.enter_async_context(components.with_store(settings))
        await store.migrate()
        state = await stack.enter_async_context(components.with_state(settings))
        # They are of what was stored: what is read again would be a duplicate of itself.
        (settings.data / "recent-ids").unlink(missing_ok=True)
        return await replay.rebuild(eventlog, state, no_way_back), aside


async def _lacks_what_was_stored(settings: Settings) -> bool:
    """Whether the store is older than state.db, though both bear the stamp of the last start."""
    from footfall.rebuild.older_store import lacks_what_was_stored

    async with components.with_store(settings) as store, components.with_state(settings) as state:
        await store.migrate()
        return await lacks_what_was_stored(store, state)


async def run_door(settings: Settings) -> None:
    """The door."""
    from footfall.collect.app import create_app
    from footfall.collect.clicks import ClickBuffer
    from footfall.collect.client import Proxies
    from footfall.collect.door import Door
    from footfall.collect.sender_context import SenderContexts
    from footfall.collect.tally import Tallies
    from footfall.enrich.geo import GeoReader
    from footfall.http.limits import limits_of
    from footfall.http.server import serve_http

    logs.configure(settings.log_level)
    await asyncio.to_thread(installation.check, settings, parts.DOOR)
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        started = stack.enter_context(lifetime("door", settings))
        eventlog = await stack.enter_async_context(components.with_eventlog(settings, "claim"))
        tenants = await stack.enter_async_context(components.with_tenants(settings))
        directory = await stack.enter_async_context(components.with_directory(settings, tenants))
        salts = await stack.enter_async_context(components.with_salts(settings))
        alerts = await stack.enter_async_context(
            components.with_alerts(settings, DOOR, lambda: components.measure_log(eventlog))
        )
        reserve = await stack.enter_async_context(components.with_losses(settings))
        tallies = await stack.enter_async_context(Tallies(eventlog, DEFAULT_WORKSPACE, reserve))
        clicks = await stack.enter_async_context(
            ClickBuffer(eventlog, settings.redirect_cap, tallies, settings.click_memory)
        )
        door = Door(
            settings=settings,
            log=eventlog,
            directory=directory,
            visitors=SenderContexts(
                GeoReader(settings.geo_database, settings.asn_database), salts, settings.session_timeout
            ),
            proxies=Proxies(settings.trusted_proxies),
            clicks=clicks,
            tallies=tallies,
            ready=lambda: components.state_of(eventlog, alerts),
            wait_for_log=settings.redirect_mode == "durable",
        )
        await stack.enter_async_context(components.with_topic_clicks(settings, door))
        await _watch(stack)
        started()
        await serve_http(
            create_app(door),
            settings.host,
            settings.port,
            stop,
            limits=limits_of(settings),
            grace=_DOOR_GRACE,
        )


async def _watch(stack: AsyncExitStack) -> None:
    """Watch the loop from here on: the start is over, so what is loaded is no hold of anybody's."""
    # It stays: the collector need not look at it again and again while requests wait.
    gc.collect()
    gc.freeze()
    await stack.enter_async_context(watched())


async def run_worker(settings: Settings, *, with_console: bool) -> None:
    """The worker; with the console, where the store is embedded and has one owner."""
    from footfall.http.limits import limits_of
    from footfall.http.server import serve_http

    logs.configure(settings.log_level)
    # On a busy machine the door comes first: a visitor waits for a redirect, nobody for a batch.
    os.nice(_POLITE)
    await asyncio.to_thread(installation.check, settings)
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        started = stack.enter_context(lifetime("worker", settings))
        eventlog = await stack.enter_async_context(components.with_eventlog(settings, "none"))
        store = await stack.enter_async_context(components.with_current_store(settings))
        worker = await stack.enter_async_context(components.with_worker(settings, eventlog, store))
        rollups = await stack.enter_async_context(components.with_rollups(settings, store, worker))
        await stack.enter_async_context(components.with_outgoing(settings, store))
        if not with_console:
            await _watch(stack)
            started()
            await worker.run(stop)
            return
        app = await stack.enter_async_context(
            console.with_console(settings, store, eventlog, worker, rollups, stop=stop)
        )
        await _watch(stack)
        started()
        serving = serve_http(
            app, settings.console_address, settings.console_port, stop, limits=limits_of(settings)
        )
        await first_to_end((worker.run(stop), serving), stop)


async def run_console(settings: Settings) -> None:
    """The console alone."""
    from footfall.http.limits import limits_of
    from footfall.http.server import serve_http

    logs.configure(settings.log_level)
    await asyncio.to_thread(installation.check, settings)
    stop = stop_on_signals()
    async with AsyncExitStack() as stack:
        started = stack.enter_context(lifetime("console", settings))
        eventlog = await stack.enter_async_context(components.with_eventlog(settings, "none"))
        store = await stack.enter_async_context(components.with_current_store(settings))
        app = await stack.enter_async_context(
            console.with_console(settings, store, eventlog, None, None, stop=stop)
        )
        await _watch(stack)
        started()
        await serve_http(
            app, settings.console_address, settings.console_port, stop, limits=limits_of(settings)
        )


@asynccontextmanager
async def own_console(settings: Settings, token: str) -> AsyncGenerator[Any]:
    """The console's application inside this process, with a worker beside it, for one command.

    `token` is worth an admin key. What was imported is stored when the block ends.
    """
    async with AsyncExitStack() as stack:
        await prepare(settings)
        eventlog = await stack.enter_async_context(components.with_eventlog(settings, "none"))
        store = await stack.enter_async_context(components.with_current_store(settings))
        worker = await stack.enter_async_context(components.with_worker(settings, eventlog, store))
        rollups = await stack.enter_async_context(components.with_rollups(settings, store, worker))
        await worker.drain()
        app = await stack.enter_async_context(
            console.with_console(settings, store, eventlog, worker, rollups, token)
        )
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        try:
            yield app
        finally:
            stop.set()
            await working
            await worker.drain()
