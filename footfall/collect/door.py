"""What the handlers of the door share: made once by main, read by all."""

from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from footfall.collect.body.lane import Lane
from footfall.collect.clicks import ClickBuffer
from footfall.collect.client import Proxies
from footfall.collect.sender_context import SenderContexts
from footfall.collect.tally import Tallies
from footfall.eventlog.port import EventLog
from footfall.settings import Settings
from footfall.tenants.directory import Directory


class Door(Struct, frozen=True):
    """The door's parts.

    `ready` raises Retryable when it cannot take events now. Who has the `lane`
    may do what is long (see `lane.py`, `turns.py`).
    """

    settings: Settings
    log: EventLog
    directory: Directory
    visitors: SenderContexts
    proxies: Proxies
    clicks: ClickBuffer
    tallies: Tallies
    ready: Callable[[], Awaitable[dict[str, object]]]
    wait_for_log: bool
    lane: Lane = field(default_factory=Lane)
