"""The durable log: the port, its adapters, and the table that names them."""

from importlib import import_module
from typing import Literal

from footfall.eventlog.port import EventLog
from footfall.settings import Settings

# A backend is a module with `async def open_log(settings, *, shard) -> EventLog`; it is
# imported when it is used, so that nobody needs the client library of another one.
BACKENDS: dict[str, str] = {
    "sqlite": "footfall.eventlog.sqlite.log",
    "postgres": "footfall.eventlog.postgres.log",
    "kafka": "footfall.eventlog.kafka.log",
    "memory": "footfall.eventlog.memory",
}

ELSEWHERE = ("postgres", "kafka")
"""Those that are no part of the data directory, and outlive it."""


async def open_log(settings: Settings, *, shard: Literal["claim", "none"] = "claim") -> EventLog:
    """Open the log that `settings.log` names.

    `shard="claim"` is for who appends (a door, an import): the log becomes the only writer
    of a shard until it is closed. `shard="none"` only reads, commits and retains; `append`
    then raises Misconfigured. Raises LogFull when a shard cannot be made now.
    """
    backend = import_module(BACKENDS[settings.log])
    opened: EventLog = await backend.open_log(settings, shard=shard)
    return opened
