"""From a caller to what may be kept of it: geo and device hash in place of the address (P5)."""

from footfall.collect.client import Caller
from footfall.enrich.geo import GeoReader
from footfall.enrich.visitor import device_hash
from footfall.model.record import SenderContext
from footfall.model.times import DAY_MS, Millis, Seconds, to_millis
from footfall.state.salts import Salts


class SenderContexts:
    """Computes visits and device hashes. Holds the geo data and the salts; keeps no address.

    `session_timeout`: in seconds, so long after midnight a visit may go on that began under another salt.
    """

    def __init__(self, geo: GeoReader, salts: Salts, session_timeout: Seconds) -> None:
        self._geo = geo
        self._salts = salts
        self.session_timeout = to_millis(session_timeout)
        """In ms: a visit of the day before may go on in an event that comes so soon after midnight (UTC).

        Such an event says its device under both salts; the other one is `device` of a day earlier.
        """

    def visit(self, caller: Caller) -> SenderContext:
        """What is kept of a caller."""
        place = self._geo.lookup(caller.ip)
        return SenderContext(caller.user_agent, caller.client_hints, caller.language, **place._asdict())

    def device(self, workspace_id: str, caller: Caller, occurred_at: Millis) -> int:
        """The device hash under the salt of `occurred_at`'s day (ms); 0 without address or salt.

        Salts live two days: an event that comes later than that has no device.
        """
        salt = self._salts.for_day(occurred_at // DAY_MS)
        if salt is None or not caller.ip:
            return 0
        return device_hash(salt, workspace_id, caller.ip, caller.user_agent)
