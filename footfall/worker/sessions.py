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

import structlog

from footfall.enrich.visitor import session_id
from footfall.errors import TooSlow
from footfall.model.record import WITHOUT_KEY
from footfall.store.port import Store
from footfall.worker.shares import OwnerOf, Shares, nobody

log = structlog.get_logger(__name__)

# Sessions of the past are needed only while an import passes through.
_PAST_SHARE = 10

# What a restart must know again: the sessions with activity in the last `timeout` of what is
# stored (the newest event's time is in the parts' index; a client's clock may run ahead of ours).
# Where they are too many, everybody's newest, then everybody's next.
_RECENT = """
WITH (SELECT least(max(occurred_at), now64(3, 'UTC')) FROM events) AS newest
SELECT visitor_id, session_id, first, last, workspace_id, site, strange
FROM (
  SELECT visitor_id, session_id, workspace_id,
         argMin(site_id, occurred_at) AS site,
         argMin(source, occurred_at) IN {strange:Array(String)} AS strange,
         toUnixTimestamp64Milli(min(occurred_at)) AS first,
         toUnixTimestamp64Milli(max(occurred_at)) AS last
  FROM events
  WHERE visitor_id != 0 AND session_id != 0
    AND occurred_at >= newest - toIntervalMillisecond({timeout:UInt64})
  GROUP BY visitor_id, session_id, workspace_id
  ORDER BY last DESC, first DESC
  LIMIT 1 BY visitor_id
)
ORDER BY row_number() OVER (PARTITION BY workspace_id, site, strange ORDER BY last DESC, first DESC)
LIMIT {limit:UInt64}
"""

# The two hashes of a device whose visit went on over the last midnight: its rows have one as the visitor
# and the other as the device. A visitor by its client's id never is its own device, so it is none of these.
_PAIRED = """
WITH (SELECT least(max(occurred_at), now64(3, 'UTC')) FROM events) AS newest,
     toIntervalMillisecond({timeout:UInt64}) AS timeout,
     toStartOfDay(newest, 'UTC') AS midnight
SELECT device_hash, visitor_id, any(workspace_id) AS workspace, any(site_id) AS site,
       any(source) IN {strange:Array(String)} AS strange
FROM events
WHERE occurred_at >= newest - timeout AND device_hash != 0 AND device_hash != visitor_id AND session_id != 0
  AND visitor_id IN (
    SELECT device_hash FROM events
    WHERE occurred_at >= midnight - timeout AND occurred_at < midnight + timeout
      AND device_hash = visitor_id AND device_hash != 0
  )
GROUP BY device_hash, visitor_id
ORDER BY row_number() OVER (PARTITION BY workspace, site, strange)
LIMIT {limit:UInt64}
"""

# First event (ms), last event (ms), id, and the last event when it was looked at for being forgotten:
# a list, because it is changed for every event.
_Session = list[int]


class Sessions:
    """The last session of up to `memory` visitors.

    Where they are more, whichever site has most loses those idle the longest, its visitors with a key
    and those without counted apart: no site's crowd, true or made up, ends the visits of another.
    """

    def __init__(self, *, timeout: float, memory: int) -> None:
        self._timeout = int(timeout * 1000)
        self._memory = memory
        self._live: Shares[_Session] = Shares(memory, _used)
        self._past: Shares[_Session] = Shares(memory // _PAST_SHARE, _used)
        # The hash of the same device on the other side of midnight.
        self._other: Shares[int] = Shares(memory)

    async def load(self, store: Store) -> int:
        """Rebuild from what is stored, so that a restart splits no live session.

        Returns the number of visitors remembered: none if too much was stored lately to be read
        at all. Raises StoreDown.
        """
        parameters = {"timeout": self._timeout, "limit": self._memory, "strange": list(WITHOUT_KEY)}
        try:
            recent = await store.query(_RECENT, parameters, lane="worker")
            paired = await store.query(_PAIRED, parameters, lane="worker")
        except TooSlow as error:
            log.warning("sessions start anew", problem=str(error))
            return 0
        for visitor, session, first, last, *owner in reversed(recent):
            self._live.add(visitor, [first, last, session, last], (owner[0], owner[1], bool(owner[2])))
        if paired:
            devices, previous, *owners = zip(*paired, strict=True)
            whose = [
                (workspace, site, bool(strange)) for workspace, site, strange in zip(*owners, strict=True)
            ]
            self.pair(devices, previous, whose.__getitem__)
        return len(self._live.entries)

    def pair(self, devices: Sequence[int], previous: Sequence[int], owner_of: OwnerOf = nobody) -> None:
        """Learn the hashes of devices under two salts, before their events are assigned; 0 for none."""
        if not any(previous):
            return
        for row, (device, before) in enumerate(zip(devices, previous, strict=True)):
            if device and before:
                owner = owner_of(row)
                self._other.add(device, before, owner)
                self._other.add(before, device, owner)
        self._other.forget()

    def assign(
        self,
        visitors: list[int],
        occurred_at: Sequence[int],
        received_at: Sequence[int],
        given: Sequence[int],
        owner_of: OwnerOf = nobody,
    ) -> list[int]:
        """The session of each event. Times in ms; `given` is the client's own session, 0 for none.

        Where an event goes on in a session of its device's other hash, that is put into `visitors`.
        """
        timeout = self._timeout
        known = self._live.entries.get
        sessions: list[int] = []
        add = sessions.append
        for visitor, at, received, own in zip(visitors, occurred_at, received_at, given, strict=True):
            if not visitor:
                add(own)
                continue
            session = known(visitor)
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
                row = len(sessions)
                late = at + timeout < received or (session is not None and at < session[0])
                elsewhere = self._elsewhere(visitor, at, own)
                if elsewhere is not None:
                    visitors[row], joined = elsewhere
                    add(joined)
                    continue
                new = own or session_id(visitor, at)
                if late:
                    self._past.add(visitor, [at, at, new, at], owner_of(row))
                    add(new)
                    continue
                if session is None:
                    session = [at, at, new, at]
                    self._live.add(visitor, session, owner_of(row))
                else:
                    session[:3] = at, at, new
            add(session[2])
        self._live.forget()
        self._past.forget()
        return sessions

    def _elsewhere(self, visitor: int, at: int, own: int) -> tuple[int, int] | None:
        """The visitor and session, other than the live one, that it goes on in."""
        other = self._other.entries.get(visitor)
        places = [(self._past, visitor)]
        if other is not None:
            places += [(self._live, other), (self._past, other)]
        for sessions, who in places:
            session = sessions.entries.get(who)
            if session is not None and self._belongs(at, own, session):
                session[0] = min(session[0], at)
                session[1] = max(session[1], at)
                return who, session[2]
        return None

    def _belongs(self, at: int, own: int, session: _Session) -> bool:
        return session[0] - self._timeout <= at <= session[1] + self._timeout and (
            not own or own == session[2]
        )


def _used(session: _Session) -> bool:
    """Whether it had another event since this was asked last."""
    used = session[3] != session[1]
    session[3] = session[1]
    return used
