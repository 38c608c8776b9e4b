"""The store of events: ClickHouse, embedded or on a server. `open_store` is the only door in."""

from collections.abc import Awaitable, Callable

from footfall.settings import Settings
from footfall.store.chdb.store import open_chdb
from footfall.store.port import Store

BACKENDS: dict[str, Callable[[Settings], Awaitable[Store]]] = {
    "chdb": open_chdb,
}


async def open_store(settings: Settings) -> Store:
    """Open the store that `settings.store` names. Its schema may still have to be migrated.

    Raises Misconfigured when it cannot be opened here, for example because another process
    has the data directory.
    """
    return await BACKENDS[settings.store](settings)
