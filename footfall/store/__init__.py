"""The store of events: ClickHouse, embedded or on a server. `open_store` is the only door in."""

from importlib import import_module

from footfall.settings import Settings
from footfall.store.port import Store

# A backend is a module with `async def open_store(settings) -> Store`; it is imported when it is
# used, so that nobody needs the client library of another one.
BACKENDS: dict[str, str] = {
    "chdb": "footfall.store.chdb.store",
}


async def open_store(settings: Settings) -> Store:
    """Open the store that `settings.store` names. Its schema may still have to be migrated.

    Raises Misconfigured when it cannot be opened here, for example because another process
    has the data directory.
    """
    opened: Store = await import_module(BACKENDS[settings.store]).open_store(settings)
    return opened
