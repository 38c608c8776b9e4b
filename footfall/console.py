"""The console, wired together: what its routes are made of, and what it looks after beside them.

Imported by the role that needs it, for the reason that `main.py` gives.
"""
# ruff: noqa: PLC0415 -- see above

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from footfall.components import (
    measure_log,
    state_of,
    with_alerts,
    with_directory,
    with_eventlog,
    with_salts,
    with_state,
    with_tenants,
)
from footfall.eventlog.port import EventLog
from footfall.runtime import alerts
from footfall.runtime.background import every
from footfall.settings import Settings

if TYPE_CHECKING:
    from footfall.rollups.maintenance import RollupMaintainer
    from footfall.store.port import Store
    from footfall.worker.loop import Worker

_TICK = 60.0
_LONGEST_NIGHT = 12 * 3600.0


@asynccontextmanager
async def with_console(
    settings: Settings,
    store: "Store",
    eventlog: EventLog,
    worker: "Worker | None",
    rollups: "RollupMaintainer | None",
    token: str = "",
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[Any]:
    """The console's application; what may take long is cut short once `stop` is set.

    Imports append to a shard of their own, claimed by the first one.
    """
    from footfall.api.app import create_app
    from footfall.api.cors import for_pages
    from footfall.api.routes.dead_letters import dead_letter_routes
    from footfall.api.routes.imports import import_routes
    from footfall.api.routes.ledger import ledger_routes
    from footfall.api.routes.retention import retention_routes
    from footfall.api.routes.saved import saved_of, saved_routes
    from footfall.api.routes.sql import sql_routes
    from footfall.api.routes.tenants import tenant_routes
    from footfall.api.routes.verify import verify_routes
    from footfall.enrich.geo import GeoReader
    from footfall.http.local_token import only_from_here
    from footfall.imports.open import open_imports
    from footfall.retention.policy import Retention
    from footfall.state.dead_letters.letters import DeadLetters
    from footfall.state.ledger import Ledger
    from footfall.state.rollups.row_counts import RollupState
    from footfall.verify.measure import measure_books
    from footfall.verify.nightly import nightly_verify
    from footfall.verify.verifier import Verifier
    from footfall.worker.in_flight import InFlightCounter

    async with AsyncExitStack() as stack:
        tenants = await stack.enter_async_context(with_tenants(settings))
        directory = await stack.enter_async_context(with_directory(settings, tenants, token))

        async def open_shard() -> EventLog:
            return await stack.enter_async_context(with_eventlog(settings, "claim"))

        state = await stack.enter_async_context(with_state(settings))

        knows = alerts.DOOR if worker is None else alerts.WORKER
        conditions = await stack.enter_async_context(
            with_alerts(settings, knows, lambda: measure_log(eventlog))
        )
        await stack.enter_async_context(
            every("books", _TICK, lambda: measure_books(state), slow=_LONGEST_NIGHT)
        )

        async def ready() -> dict[str, object]:
            await store.ping()
            return await state_of(eventlog, conditions)

        async def complete_through() -> datetime | None:
            at = worker.complete_through if worker else 0.0
            return datetime.fromtimestamp(at, UTC) if at else None

        salts = await stack.enter_async_context(with_salts(settings))
        clicks, access_logs = await stack.enter_async_context(
            open_imports(
                open_shard,
                store,
                state,
                salts,
                tenants,
                directory,
                GeoReader(settings.geo_database, settings.asn_database),
                settings.session_timeout,
            )
        )
        verifier = Verifier(
            store, eventlog, state, window=settings.recent_ids_window, limit=settings.recent_ids
        )
        tick = nightly_verify(verifier, settings.data).tick
        await stack.enter_async_context(every("verify", _TICK, tick, slow=_LONGEST_NIGHT))
        app = create_app(
            store=store,
            directory=directory,
            find_link=tenants.link,
            find_links=tenants.links_by_id,
            settings=settings,
            ready=ready,
            complete_through=complete_through,
            rollups=RollupState(state),
            missing=rollups.missing if rollups else tuple,
            tags_of=tenants.tagged_links,
            saved_of=saved_of(tenants),
            routers=[
                *tenant_routes(tenants, directory),
                *saved_routes(tenants, directory),
                import_routes(clicks, access_logs, directory),
                ledger_routes(Ledger(state), directory, InFlightCounter(eventlog), complete_through),
                dead_letter_routes(DeadLetters(state), directory),
                sql_routes(store, directory),
                verify_routes(verifier, directory, stop),
                retention_routes(Retention(store, state, settings), rollups, directory),
            ],
        )
        yield only_from_here(for_pages(app, settings.read_origins, directory))
