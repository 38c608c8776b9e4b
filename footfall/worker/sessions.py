"""Sessions: which visit each event belongs to.

The client's own session id wins. Otherwise an event belongs to a session of its visitor if
it lies within the timeout of it: at most `timeout` before its first or after its last event
(exactly the timeout still belongs). Else it starts a session, whose id is
`enrich.visitor.session_id(visitor, start)`. Visitor 0 is unknown and has session 0.

Each visitor has a live session and, apart from it, one in the past, so that an import of
last year's clicks or a client's late queue forms sessions without ending the live ones.
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

_Session = list[int]  # first event (ms), last event (ms), id: a list, because it is changed for every event


class Sessions:
    """The last session of up to `memory` visitors; those idle the longest are forgotten first."""

    def __init__(self, *, timeout: float, memory: int) -> None:
        self._timeout = int(timeout * 1000)
        self._memory = memory
        # In the order of use.
        self._live: dict[int, _Session] = {}
        self._past: dict[int, _Session] = {}

    async def load(self, store: Store) -> int:
        """Rebuild from what is stored, so that a restart splits no live session.

        Returns the number of visitors remembered: none if too much was stored lately to be read
        at all. Raises StoreDown.
        """
        parameters = {"timeout": self._timeout, "limit": self._memory}
        try:
            recent = await store.query(_RECENT, parameters, lane="worker")
        except TooSlow as error:
            log.warning("sessions start anew", problem=str(error))
            return 0
        for visitor, session, first, last in reversed(recent):
            self._live[visitor] = [first, last, session]
        return len(self._live)

    def assign(
        self,
        visitors: Sequence[int],
        occurred_at: Sequence[int],
        received_at: Sequence[int],
        given: Sequence[int],
    ) -> list[int]:
        """The session of each event. Times in ms; `given` is the client's own session, 0 for none."""
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
                past = self._in_the_past(visitor, at, own, late=late)
                if past is not None:
                    if session is not None:
                        live[visitor] = session
                    add(past)
                    continue
                session = [at, at, own or session_id(visitor, at)]
            live[visitor] = session
            add(session[2])
        _forget(self._live, self._memory)
        _forget(self._past, self._memory // _PAST_SHARE)
        return sessions

    def _in_the_past(self, visitor: int, at: int, own: int, *, late: bool) -> int | None:
        """The visitor's session in the past, if the event belongs to it or starts it (`late`)."""
        session = self._past.pop(visitor, None)
        if (
            session is not None
            and session[0] - self._timeout <= at <= session[1] + self._timeout
            and (not own or own == session[2])
        ):
            session[0] = min(session[0], at)
            session[1] = max(session[1], at)
        elif late:
            session = [at, at, own or session_id(visitor, at)]
        elif session is None:
            return None
        else:
            self._past[visitor] = session
            return None
        self._past[visitor] = session
        return session[2]


def _forget(sessions: dict[int, _Session], limit: int) -> None:
    for visitor in list(islice(sessions, max(0, len(sessions) - limit))):
        del sessions[visitor]
