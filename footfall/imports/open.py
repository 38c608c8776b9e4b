"""Opening the importers: what they share, and the salt that they let expire."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from footfall.database import Database
from footfall.enrich.geo import GeoReader
from footfall.eventlog.port import WORKER, EventLog
from footfall.imports.access_log.importer import AccessLogImporter
from footfall.imports.access_log.visitors import LoggedVisitors
from footfall.imports.clicks.importer import ClickImporter
from footfall.imports.intake import Intake
from footfall.model.times import Seconds
from footfall.runtime.background import every
from footfall.state.import_salts import ImportSalts
from footfall.state.imported_files import ImportedFiles
from footfall.state.retention import RetentionState
from footfall.state.salts import Salts
from footfall.store.port import Store
from footfall.tenants.directory import Directory
from footfall.tenants.tenants import Tenants

_EXPIRE_EVERY = 3600.0


@asynccontextmanager
async def open_imports(
    open_log: Callable[[], Awaitable[EventLog]],
    store: Store,
    state: Database,
    salts: Salts,
    tenants: Tenants,
    directory: Directory,
    geo: GeoReader,
    session_timeout: Seconds,
) -> AsyncGenerator[tuple[ClickImporter, AccessLogImporter]]:
    """Those of files of clicks, and of access logs.

    `open_log` is called by the first of them, for a shard to append to. `geo` is closed in the end.
    """
    import_salts = ImportSalts(state)

    async def expire() -> None:
        await import_salts.expire(time.time())

    async def gone(site_id: str) -> int:
        deleted = (await RetentionState(state).deleted()).get(site_id)
        return deleted.at if deleted else 0

    intake = Intake(open_log, store, ImportedFiles(state), consumer=WORKER, gone=gone)
    try:
        await expire()
        async with every("import_salts", _EXPIRE_EVERY, expire):
            visitors = LoggedVisitors(geo, salts, import_salts, session_timeout)
            yield ClickImporter(intake, tenants), AccessLogImporter(intake, directory, visitors)
    finally:
        geo.close()
