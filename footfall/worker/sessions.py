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
from typing import Any, NamedTuple

import structlog

from footfall.enrich.visitor import session_id
from footfall.errors import TooSlow
from footfall.model.entry import CLICK, ENGAGEMENT, ENTRY_OF, Facts
from footfall.model.record import WITHOUT_KEY
from footfall.model.times import Seconds, to_millis
from footfall.store.port import Store
from footfall.worker.entry import OF_CLICK, OF_ITSELF, OF_VIEW, OTHER, Entries, EventFacts, Visit
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

_FACTS = ", ".join(ENTRY_OF)


def _elements(of: str, count: int) -> str:
    return ", ".join(f"tupleElement({of}, {number})" for number in range(1, count + 1))


# The facts of these sessions on their sites: those of the first event, with the page as soon as there is one.
_ENTRIES = f"""
WITH (SELECT least(max(occurred_at), now64(3, 'UTC')) FROM events) AS newest
SELECT visitor_id, session_id, site_id, {_elements("facts", len(ENTRY_OF))}
FROM (
  SELECT visitor_id, session_id, site_id, max(occurred_at) AS last,
         argMin(tuple({_FACTS}), (entry_page = '', occurred_at, seq)) AS facts
  FROM events
  WHERE visitor_id != 0 AND session_id != 0 AND event_type NOT IN ('{CLICK}', '{ENGAGEMENT}')
    AND occurred_at >= newest - toIntervalMillisecond({{timeout:UInt64}})
  GROUP BY visitor_id, session_id, site_id
)
ORDER BY last DESC LIMIT {{limit:UInt64}}
"""  # noqa: S608 -- of the list of facts

# The last click of each visitor.
_CLICKS = f"""
WITH (SELECT least(max(occurred_at), now64(3, 'UTC')) FROM events) AS newest
SELECT visitor_id, toUnixTimestamp64Milli(last), {_elements("click", 2 + len(ENTRY_OF))}
FROM (
  SELECT visitor_id, max(occurred_at) AS last,
         argMax(tuple(site_id, destination_url, {_FACTS}), (occurred_at, seq)) AS click
  FROM events
  WHERE visitor_id != 0 AND session_id != 0 AND event_type = '{CLICK}'
    AND occurred_at >= newest - toIntervalMillisecond({{timeout:UInt64}})
  GROUP BY visitor_id
)
ORDER BY last DESC LIMIT {{limit:UInt64}}
"""  # noqa: S608 -- as above


class Assigned(NamedTuple):
    """Of each event its session, and the facts of its visit."""

    sessions: list[int]
    entries: list[Facts]


class Sessions:
    """The last session of up to `memory` visitors.

    Where they are more, whichever site has most loses those idle the longest, its visitors with a key
    and those without counted apart: no site's crowd, true or made up, ends the visits of another.
    """

    def __init__(self, *, timeout: Seconds, memory: int) -> None:
        self._timeout = to_millis(timeout)
        self._memory = memory
        self._live: Shares[Visit] = Shares(memory, _used)
        self._past: Shares[Visit] = Shares(memory // _PAST_SHARE, _used)
        self._entries = Entries(self._timeout, self._clicked)
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
            entries = await store.query(_ENTRIES, parameters, lane="worker")
            clicks = await store.query(_CLICKS, parameters, lane="worker")
        except TooSlow as error:
            log.warning("sessions start anew", problem=str(error))
            return 0
        for visitor, session, first, last, *owner in reversed(recent):
            self._live.add(visitor, Visit(first, last, session), (owner[0], owner[1], bool(owner[2])))
        self._enter(entries, clicks)
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
        events: EventFacts | None = None,
    ) -> Assigned:
        """The session of each event, and the facts of its visit on its site.

        Times in ms; `given` is the client's own session, 0 for none; `events`: what they say of themselves.
        Where an event goes on in a session of its device's other hash, that is put into `visitors`.
        """
        events = events or EventFacts.none(len(visitors))
        clicked: dict[int, Visit] = {}
        try:
            return self._assign(visitors, occurred_at, received_at, given, owner_of, events, clicked)
        finally:
            self._entries.remember(clicked.values(), events)
            self._live.forget()
            self._past.forget()

    def _assign(
        self,
        visitors: list[int],
        occurred_at: Sequence[int],
        received_at: Sequence[int],
        given: Sequence[int],
        owner_of: OwnerOf,
        events: EventFacts,
        clicked: dict[int, Visit],
    ) -> Assigned:
        """As `assign`. `clicked`: gets the visits whose clicks are to be remembered."""
        timeout = self._timeout
        known = self._live.entries.get
        sessions: list[int] = []
        entries: list[Facts] = []
        add, enter, shared = sessions.append, entries.append, self._entries.shared
        every = zip(visitors, occurred_at, received_at, given, events.sites, events.kinds, strict=True)
        for row, (visitor, at, received, own, site, kind) in enumerate(every):
            if not visitor:
                add(own)
                enter(OF_ITSELF if kind == OF_CLICK else shared(events.own(row)))
                continue
            visit = known(visitor)
            if (
                visit is not None
                and visit.first - timeout <= at <= visit.last + timeout
                and (not own or own == visit.id)
            ):
                if at > visit.last:
                    visit.last = at
                elif at < visit.first:
                    visit.first = at
            else:
                late = at + timeout < received
                visitors[row], visit = self._another(visitor, at, own, owner_of, row, late=late)
            add(visit.id)
            if site == visit.site and (kind == OTHER or (kind == OF_VIEW and visit.facts[0])):
                enter(visit.facts)
            elif kind == OF_CLICK:
                visit.clicked, visit.click_row = at, row
                clicked[id(visit)] = visit  # a visitor may have several
                enter(OF_ITSELF)
            else:
                enter(self._entries.of(visit, at, visitor, row, events))
        return Assigned(sessions, entries)

    def _another(
        self, visitor: int, at: int, own: int, owner_of: OwnerOf, row: int, *, late: bool
    ) -> tuple[int, Visit]:
        """The visitor and session of an event that its visitor's live session does not hold."""
        live = self._live.entries.get(visitor)
        elsewhere = self._elsewhere(visitor, at, own)
        if elsewhere is not None:
            return elsewhere
        new = own or session_id(visitor, at)
        if late or (live is not None and at < live.first):
            visit = Visit(at, at, new)
            self._past.add(visitor, visit, owner_of(row))
        elif live is None:
            visit = Visit(at, at, new)
            self._live.add(visitor, visit, owner_of(row))
        else:
            visit = live
            visit.restart(at, new, aside=bool(own) and at <= live.last + self._timeout)
        return visitor, visit

    def _elsewhere(self, visitor: int, at: int, own: int) -> tuple[int, Visit] | None:
        """The visitor and session, other than the live one, that it goes on in."""
        other = self._other.entries.get(visitor)
        places = [(self._past, visitor)]
        if other is not None:
            places += [(self._live, other), (self._past, other)]
        for visits, who in places:
            visit = visits.entries.get(who)
            if visit is not None and self._belongs(at, own, visit):
                visit.first = min(visit.first, at)
                visit.last = max(visit.last, at)
                return who, visit
        return None

    def _clicked(self, visitor: int, device: int) -> list[Visit]:
        """What is known of the visitor and of its device, on both sides of midnight."""
        names = {visitor, device}
        names |= {self._other.entries[name] for name in (visitor, device) if name in self._other.entries}
        visits = (of.entries.get(name) for name in names if name for of in (self._live, self._past))
        return [visit for visit in visits if visit is not None]

    def _enter(self, entries: Sequence[Sequence[Any]], clicks: Sequence[Sequence[Any]]) -> None:
        """The facts of visits and the visitors' last clicks, as they are stored."""
        known = self._live.entries.get
        for visitor, session, site, *facts in entries:
            visit = known(visitor)
            if visit is not None and visit.id == session:
                visit.keep(site, self._entries.shared(tuple(facts)))
        for visitor, at, site, target, *facts in clicks:
            visit = known(visitor)
            if visit is not None:
                visit.clicked, visit.click_site, visit.click_target = at, site, target
                visit.click_facts = self._entries.shared(tuple(facts))

    def _belongs(self, at: int, own: int, visit: Visit) -> bool:
        return visit.first - self._timeout <= at <= visit.last + self._timeout and (
            not own or own == visit.id
        )


def _used(visit: Visit) -> bool:
    """Whether it had another event since this was asked last."""
    used = visit.looked != visit.last
    visit.looked = visit.last
    return used
