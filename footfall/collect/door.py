"""What the handlers of the door share: made once by main, read by all."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from footfall.collect.clicks import Clicks
from footfall.collect.client import Proxies
from footfall.collect.tally import Tallies
from footfall.collect.visits import Visitors
from footfall.eventlog.port import EventLog
from footfall.settings import Settings
from footfall.tenants.directory import Directory


class Door(Struct, frozen=True):
    """The door's parts. `ready` raises Retryable when it cannot take events now."""

    settings: Settings
    log: EventLog
    directory: Directory
    visitors: Visitors
    proxies: Proxies
    clicks: Clicks
    tallies: Tallies
    ready: Callable[[], Awaitable[dict[str, object]]]
    wait_for_log: bool
