"""Sessions: which visit each event belongs to.

The client's own session id wins. Otherwise an event belongs to a session of its visitor if
it lies within the timeout of it: at most `timeout` before its first or after its last event
(exactly the timeout still belongs). Else it starts a session, whose id is
`enrich.visitor.session_id(visitor, start)`. Visitor 0 is unknown and has session 0.

Each visitor has a live session and, apart from it, one in the past, so that an import of
last year's clicks or a client's late queue forms sessions without ending the live ones.

At midnight (UTC) the salt changes, and with it the hash of a device. An event soon after it bears
both hashes. What belongs to no session of its own hash, but to one of the other, goes on in that
session and as that session's visitor, until it ends. So a visit is carried over one midnight, not two.
"""

from collections.abc import Sequence
from itertools import islice

import structlog

from footfall.enrich.visitor import session_id
from footfall.errors import TooSlow
from footfall.store.port import Store

log = structlog.get_logger(__name__)

# Sessions of the past are needed only while an import passes through.
_PAST_SHARE = 10

# What a restart must know again: the sessions with activity in the last `timeout` of what is
# stored (the newest event's time is in the parts' index; a client's clock may run ahead of ours).
_RECENT = """
WITH (SELECT least(max(occurred_at), now64(3, 'UTC')) FROM events) AS newest
SELECT visitor_id, session_id,
       toUnixTimestamp64Milli(min(occurred_at)) AS first,
       toUnixTimestamp64Milli(max(occurred_at)) AS last
FROM events
WHERE visitor_id != 0 AND session_id != 0
  AND occurred_at >= newest - toIntervalMillisecond({timeout:UInt64})
GROUP BY visitor_id, session_id
ORDER BY last DESC, first DESC
LIMIT {limit:UInt64}
"""

# The two hashes of a device whose visit went on over the last midnight: its rows have one as the visitor
# and the other as the device. A visitor by its client's id never is its own device, so it is none of these.
_PAIRED = """
WITH (SELECT least(max(occurred_at), now64(3, 'UTC')) FROM events) AS newest,
     toIntervalMillisecond({timeout:UInt64}) AS timeout,
     toStartOfDay(newest, 'UTC') AS midnight
SELECT DISTINCT device_hash, visitor_id
FROM events
WHERE occurred_at >= newest - timeout AND device_hash != 0 AND device_hash != visitor_id AND session_id != 0
  AND visitor_id IN (
    SELECT device_hash FROM events
    WHERE occurred_at >= midnight - timeout AND occurred_at < midnight + timeout
      AND device_hash = visitor_id AND device_hash != 0
  )
LIMIT {limit:UInt64}
"""

_Session = list[int]  # first event (ms), last event (ms), id: a list, because it is changed for every event


class Sessions:
    """The last session of up to `memory` visitors; those idle the longest are forgotten first."""

    def __init__(self, *, timeout: float, memory: int) -> None:
        self._timeout = int(timeout * 1000)
        self._memory = memory
        # In the order of use.
        self._live: dict[int, _Session] = {}
        self._past: dict[int, _Session] = {}
        # The hash of the same device on the other side of midnight.
        self._other: dict[int, int] = {}

    async def load(self, store: Store) -> int:
        """Rebuild from what is stored, so that a restart splits no live session.

        Returns the number of visitors remembered: none if too much was stored lately to be read
        at all. Raises StoreDown.
        """
        parameters = {"timeout": self._timeout, "limit": self._memory}
        try:
            recent = await store.query(_RECENT, parameters, lane="worker")
            paired = await store.query(_PAIRED, parameters, lane="worker")
        except TooSlow as error:
            log.warning("sessions start anew", problem=str(error))
            return 0
        for visitor, session, first, last in reversed(recent):
            self._live[visitor] = [first, last, session]
        self.pair(*zip(*paired, strict=True) if paired else ((), ()))
        return len(self._live)

    def pair(self, devices: Sequence[int], previous: Sequence[int]) -> None:
        """Learn the hashes of devices under two salts, before their events are assigned; 0 for none."""
        if not any(previous):
            return
        other = self._other
        for device, before in zip(devices, previous, strict=True):
            if device and before:
                other[device], other[before] = before, device
        for device in list(islice(other, max(0, len(other) - self._memory))):
            del other[device]

    def assign(
        self,
        visitors: list[int],
        occurred_at: Sequence[int],
        received_at: Sequence[int],
        given: Sequence[int],
    ) -> list[int]:
        """The session of each event. Times in ms; `given` is the client's own session, 0 for none.

        Where an event goes on in a session of its device's other hash, that is put into `visitors`.
        """
        timeout = self._timeout
        live = self._live
        take = live.pop
        sessions: list[int] = []
        add = sessions.append
        for visitor, at, received, own in zip(visitors, occurred_at, received_at, given, strict=True):
            if not visitor:
                add(own)
                continue
            session = take(visitor, None)
            if (
                session is not None
                and session[0] - timeout <= at <= session[1] + timeout
                and (not own or own == session[2])
            ):
                if at > session[1]:
                    session[1] = at
                elif at < session[0]:
                    session[0] = at
            else:
                late = at + timeout < received or (session is not None and at < session[0])
                elsewhere = self._elsewhere(visitor, at, own, late=late)
                if elsewhere is not None:
                    if session is not None:
                        live[visitor] = session
                    visitors[len(sessions)], joined = elsewhere
                    add(joined)
                    continue
                session = [at, at, own or session_id(visitor, at)]
            live[visitor] = session
            add(session[2])
        _forget(self._live, self._memory)
        _forget(self._past, self._memory // _PAST_SHARE)
        return sessions

    def _elsewhere(self, visitor: int, at: int, own: int, *, late: bool) -> tuple[int, int] | None:
        """The visitor and session that it goes on in, or starts in the past (`late`), but the live one."""
        other = self._other.get(visitor)
        places = [(self._past, visitor)]
        if other is not None:
            places += [(self._live, other), (self._past, other)]
        for sessions, who in places:
            session = sessions.get(who)
            if session is not None and self._belongs(at, own, session):
                session[0] = min(session[0], at)
                session[1] = max(session[1], at)
                break
        else:
            if not late:
                return None
            sessions, who = self._past, visitor
            session = [at, at, own or session_id(visitor, at)]
        # In the order of use.
        sessions.pop(who, None)
        sessions[who] = session
        return who, session[2]

    def _belongs(self, at: int, own: int, session: _Session) -> bool:
        return session[0] - self._timeout <= at <= session[1] + self._timeout and (
            not own or own == session[2]
        )


def _forget(sessions: dict[int, _Session], limit: int) -> None:
    for visitor in list(islice(sessions, max(0, len(sessions) - limit))):
        del sessions[visitor]
