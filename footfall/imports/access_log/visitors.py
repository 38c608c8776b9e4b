"""From the address of a logged request to what may be kept of it: geo and device hash (P5).

Days whose salt is still alive are hashed as the door hashes them, so that an imported visit
and a live one are the same device; other days under the salt of imports (`state.import_salts`).
"""

import time

from footfall.enrich.geo import GeoReader
from footfall.enrich.visitor import device_hash
from footfall.model.record import SenderContext
from footfall.model.times import DAY_MS, Seconds, to_millis
from footfall.state.import_salts import ImportSalts, of_day
from footfall.state.salts import Salts


class LoggedVisitors:
    """Geo data and salts. Keeps no address but in the geo reader's memory.

    `session_timeout`: in seconds, as at the door.
    """

    def __init__(
        self, geo: GeoReader, salts: Salts, import_salts: ImportSalts, session_timeout: Seconds
    ) -> None:
        self._geo = geo
        self._salts = salts
        self._import_salts = import_salts
        self._session_timeout = to_millis(session_timeout)

    async def of_chunk(self, workspace_id: str) -> "ChunkVisitors":
        """Those of one chunk. Raises Retryable."""
        salt = await self._import_salts.current(time.time())
        return ChunkVisitors(self._geo, self._salts, salt, workspace_id, self._session_timeout)


class ChunkVisitors:
    """Looks up and hashes each visitor of a chunk once. To be used in one thread, and thrown away."""

    def __init__(
        self, geo: GeoReader, salts: Salts, import_salt: bytes, workspace_id: str, session_timeout: int
    ) -> None:
        self._session_timeout = session_timeout
        self._geo = geo
        self._salts = salts
        self._import_salt = import_salt
        self._workspace_id = workspace_id
        self._of_day: dict[int, tuple[bytes, bool]] = {}
        self._visits: dict[tuple[str, str], SenderContext] = {}
        self._devices: dict[tuple[int, str, str], int] = {}

    def visit(self, address: str, user_agent: str) -> SenderContext:
        """What is kept of a request's sender."""
        key = address, user_agent
        visit = self._visits.get(key)
        if visit is None:
            visit = self._visits[key] = SenderContext(user_agent, **self._geo.lookup(address)._asdict())
        return visit

    def device(self, address: str, user_agent: str, at: int) -> int:
        """The hash of the device that asked at `at` (ms); 0 without an address."""
        if not address or address == "-":
            return 0
        key = at // DAY_MS, address, user_agent
        device = self._devices.get(key)
        if device is None:
            salt, _ = self._salt(key[0])
            device = self._devices[key] = device_hash(salt, self._workspace_id, address, user_agent)
        return device

    def previous_device(self, address: str, user_agent: str, at: int) -> int:
        """The same under the salt of the day before, while a visit of that day may go on at `at`; else 0."""
        if at % DAY_MS >= self._session_timeout:
            return 0
        return self.device(address, user_agent, at - DAY_MS)

    @property
    def live_days(self) -> frozenset[int]:
        """The days met (ms // 86,400,000) whose devices are those that the door would have said."""
        return frozenset(day for day, (_, live) in self._of_day.items() if live)

    def _salt(self, day: int) -> tuple[bytes, bool]:
        found = self._of_day.get(day)
        if found is None:
            live = self._salts.for_day(day)
            found = self._of_day[day] = (live or of_day(self._import_salt, day), live is not None)
        return found
