"""The facts of visits: from where, and on which page, each began on each of its sites.

They are those of the first event there, in the order of the log. A short link's click within the visit's
timeout before it opens the visit: then the source is the click's, and the page that of the first page view.
A click itself is an entry of its own, and an engagement opens nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from footfall.enrich.referrer import host_of
from footfall.model.entry import CLICK, ENGAGEMENT, ENTRY_OF, PAGE_VIEW, Facts
from footfall.store.arrow import OWN, Coded

OTHER, OF_VIEW, OF_CLICK, OF_ENGAGEMENT = range(4)
_KINDS = {PAGE_VIEW: OF_VIEW, CLICK: OF_CLICK, ENGAGEMENT: OF_ENGAGEMENT}

NEVER = -(1 << 62)
REMEMBERED = -1

_NOTHING: Facts = ("",) * len(ENTRY_OF)
OF_ITSELF: Facts = ()
"""Stands for the facts of a click: what it says of itself, without a page."""

_CHANNEL = tuple(ENTRY_OF).index("entry_channel")
_NO_SOURCE = frozenset({"direct", "internal"})

# Of one visitor: visits of other sites, or of other sessions of the client's own, whose facts are remembered.
_MOST_OTHERS = 16
# Different facts that are kept once for all visits that have them.
_MOST_SHARED = 50_000


class Visit:
    """A session: its first and last event (ms), and its facts on the site it was at last.

    `looked`: the last event when it was looked at for being forgotten. `others`: facts on other sites,
    by session and site. `clicked`: when the visitor last clicked a short link (ms; never: NEVER), with the
    site and target of that, and the facts of the click; or, until `Entries.remember`, the click's row.
    """

    __slots__ = (
        "click_facts", "click_row", "click_site", "click_target", "clicked",
        "facts", "first", "id", "last", "looked", "others", "site",
    )  # fmt: skip

    def __init__(self, first: int, last: int, session: int) -> None:
        self.first = first
        self.last = self.looked = last
        self.id = session
        self.site: str | None = None
        self.facts = _NOTHING
        self.others: dict[tuple[int, str], Facts] | None = None
        self.clicked = NEVER
        self.click_row = REMEMBERED
        self.click_site = self.click_target = ""
        self.click_facts = _NOTHING

    def restart(self, at: int, session: int, *, aside: bool) -> None:
        """Another session of the visitor. `aside`: the one before may go on."""
        if not aside:
            self.others = None
        elif self.site is not None:
            self._keep_aside(self.site, self.facts)
        self.first = self.last = at
        self.id = session
        self.site, self.facts = None, _NOTHING

    def facts_on(self, site: str) -> Facts | None:
        """None where nothing has opened the visit yet."""
        if self.site == site:
            return self.facts
        return self.others.get((self.id, site)) if self.others else None

    def keep(self, site: str, facts: Facts) -> None:
        """Remember the facts on a site."""
        if self.site is None or self.site == site:
            self.site, self.facts = site, facts
        else:
            self._keep_aside(site, facts)

    def _keep_aside(self, site: str, facts: Facts) -> None:
        if self.others is None:
            self.others = {}
        self.others[self.id, site] = facts
        if len(self.others) > _MOST_OTHERS:
            del self.others[next(iter(self.others))]


class EventFacts(NamedTuple):
    """What the events of a batch say of themselves, a list each; `columns`: those that ENTRY_OF names."""

    kinds: Sequence[int]
    sites: Sequence[str]
    devices: Sequence[int]
    pages: Sequence[str]
    targets: Sequence[str]
    columns: Sequence[Sequence[str]]

    @classmethod
    def none(cls, count: int) -> "EventFacts":
        """Of so many events of which nothing is known."""
        empty = [""] * count
        return cls([OTHER] * count, empty, [0] * count, empty, empty, [empty] * len(ENTRY_OF))

    def own(self, row: int) -> Facts:
        """The facts of a visit that begins with this event. Only a page view has a page."""
        page, host, channel, source, medium, campaign, term, content, country, device = self.columns
        return (
            page[row] if self.kinds[row] == OF_VIEW else "",
            host[row], channel[row], source[row], medium[row], campaign[row], term[row], content[row],
            country[row], device[row],
        )  # fmt: skip


def facts_of(rows: Mapping[str, Sequence[Any]]) -> EventFacts:
    """Of the rows of a batch, enriched."""
    return EventFacts(
        [_KINDS.get(name, OTHER) for name in rows["event_type"]],
        rows["site_id"],
        rows["device_hash"],
        rows["page_url"],
        rows["destination_url"],
        [rows[name] for name in ENTRY_OF.values()],
    )


class Entries:
    """Opens visits.

    `timeout`: ms within which a click leads into one; `clicked`: the visits of a visitor and a device with
    their last clicks.
    """

    def __init__(self, timeout: int, clicked: Callable[[int, int], Sequence[Visit]]) -> None:
        self._timeout = timeout
        self._clicked = clicked
        self._shared: dict[Facts, Facts] = {}

    def shared(self, facts: Facts) -> Facts:
        """The same facts, kept once."""
        if len(self._shared) > _MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault(facts, facts)

    def remember(self, visits: Iterable[Visit], events: EventFacts) -> None:
        """Remember of these the clicks that are rows of the batch: many at once."""
        clicked = [visit for visit in visits if visit.click_row != REMEMBERED]
        if not clicked:
            return
        rows = [visit.click_row for visit in clicked]
        columns = [[column[row] for row in rows] for column in events.columns]
        columns[0] = [""] * len(rows)
        if len(self._shared) > _MOST_SHARED:
            self._shared.clear()
        every = list(zip(*columns, strict=True))
        facts = map(self._shared.setdefault, every, every)
        for visit, row, its in zip(clicked, rows, facts, strict=True):
            visit.click_row = REMEMBERED
            visit.click_site, visit.click_target = events.sites[row], events.targets[row]
            visit.click_facts = its

    def of(self, visit: Visit, at: int, visitor: int, row: int, events: EventFacts) -> Facts:
        """The facts of the visit on the event's site; the event is no click."""
        kind, site = events.kinds[row], events.sites[row]
        facts = visit.facts_on(site)
        if facts is None:
            own = events.own(row)
            if kind == OF_ENGAGEMENT:
                return self.shared(own)
            clicked = self._clicked(visitor, events.devices[row])
            by = self._opening(clicked, at, row, events)
            if by is not None:
                _, _, source = _click(by, events)
                own = (own[0], *source[1:])
            facts = self.shared(own)
        elif kind == OF_VIEW and not facts[0]:
            facts = self.shared((events.own(row)[0], *facts[1:]))
        else:
            return facts
        visit.keep(site, facts)
        return facts

    def _opening(self, clicked: Sequence[Visit], at: int, row: int, events: EventFacts) -> Visit | None:
        """Whose last click led here: the last of them."""
        into = [
            visit
            for visit in clicked
            if abs(at - visit.clicked) <= self._timeout and _leads_to(visit, row, events)
        ]
        return max(into, key=lambda visit: visit.clicked, default=None)


def _click(by: Visit, events: EventFacts) -> tuple[str, str, Facts]:
    """The site, the target and the facts of the last click."""
    if by.click_row == REMEMBERED:
        return by.click_site, by.click_target, by.click_facts
    return events.sites[by.click_row], events.targets[by.click_row], events.own(by.click_row)


def _leads_to(by: Visit, row: int, events: EventFacts) -> bool:
    """Whether an event came of a click: not where that led elsewhere, and the event names another source."""
    site, to, _ = _click(by, events)
    if site and events.sites[row] and site != events.sites[row]:
        return False
    target, here = host_of(to), host_of(events.pages[row])
    return not target or not here or target == here or events.columns[_CHANNEL][row] in _NO_SOURCE


def entry_columns(entries: Sequence[Facts]) -> dict[str, Coded]:
    """The columns of ENTRY_OF, of these facts: one for each row. Most are the same."""
    names = list(map(id, entries))
    different = dict(zip(names, entries, strict=True))
    different.pop(id(OF_ITSELF), None)
    numbers = {name: number for number, name in enumerate(different)} | {id(OF_ITSELF): OWN}
    rows = np.array([numbers[name] for name in names], np.int32)
    columns = zip(*different.values(), strict=True) if different else ((),) * len(ENTRY_OF)
    found = {
        name: Coded(values, rows, own) for (name, own), values in zip(ENTRY_OF.items(), columns, strict=True)
    }
    page = found["entry_page"]  # a click has none
    return found | {
        "entry_page": page._replace(
            values=(*page.values, ""), numbers=np.where(rows == OWN, len(page.values), rows).astype(np.int32)
        )
    }
