"""Imports of access logs: lines -> the clicks and page views that are not there yet -> the log.

A line's address is used here, in memory, for geo and the device hash, and goes no further.
Also over a time that was partly received live: see `matching`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from footfall.errors import Invalid, Retryable
from footfall.imports.access_log import requests as reading
from footfall.imports.access_log.lines import LineReader
from footfall.imports.access_log.matching import Matcher
from footfall.imports.access_log.requests import Hits, Place, Target
from footfall.imports.access_log.rules import Pages
from footfall.imports.access_log.visitors import LoggedVisitors
from footfall.imports.clicks.chunk import LineProblem, check_measures
from footfall.imports.intake import ImportedEvent, Intake, Span, by_id, let_go, span_of, without
from footfall.imports.runs import Lines, Owner
from footfall.tenants.directory import Directory
from footfall.tenants.links.targets import check_target
from footfall.tenants.model import Link, Site, Workspace

SOURCE = "import:access-log"

# What was received live is stored within seconds. A line younger than this waits for it.
_SETTLED_MS = 60_000


class AccessLogOutcome(Struct, frozen=True):
    """What became of a chunk's lines.

    `added`: events by type (with `dry_run`: that would be). `received`: events that were received
    live; `present`: that an import had brought or found already. `repeated`: lines that were
    imported before, which counts for those that are no events too. `rejected`: new lines that
    are no events, by reason; `problems` tells of the first ones that could not be read. `occurred`: when the
    events of all lines did, new or not.
    """

    added: dict[str, int]
    received: int
    present: int
    repeated: int
    rejected: dict[str, int]
    problems: list[LineProblem]
    occurred: Span | None


class AccessLogImporter:
    """Takes chunks of lines; they are read at once, and appended one after the other."""

    def __init__(self, intake: Intake, directory: Directory, visitors: LoggedVisitors) -> None:
        self._intake = intake
        self._directory = directory
        self._visitors = visitors
        self._matcher = Matcher(intake.store)

    async def add(
        self,
        workspace: Workspace,
        site: Site,
        lines: Sequence[str],
        occurrences: Sequence[int],
        *,
        origin: str = "",
        dry_run: bool = False,
        again: bool = False,
        format_name: str = "",
        fields: str = "",
        pages: Sequence[str] = (),
    ) -> AccessLogOutcome:
        """Append the events of `lines` that are missing; returns when they are safe in the log.

        `occurrences[i]` is the number of lines up to and including `lines[i]` that are like it
        (`LineReader`), so at least 1. `origin`: where the site is, "https://example.com"; without it a line's
        own host counts, or else the first origin of the site. `again`: look at lines that were imported
        before, too. `format_name` and `fields`: see `LineReader`; `pages`: see `Pages.of`.

        Raises Invalid for a wrong chunk, Retryable when lines are too young, the worker is too far behind or
        the log is full; repeating the chunk is right after them.
        """
        check_measures(lines, occurrences)
        target = Target(
            workspace.secret,
            site.id,
            _origin(origin),
            _fallback(site),
            Pages.of(pages),
            self._directory.is_page_of,
        )
        hits = await asyncio.to_thread(reading.read, lines, LineReader(format_name, fields))
        if not dry_run:
            _check_settled(hits)
        links = await self._links(workspace.id, hits, origin)
        visitors = await self._visitors.of_chunk(workspace.id)
        events = await asyncio.to_thread(reading.events, hits, occurrences, target, links, visitors)
        owner = Owner(workspace.id, f"{SOURCE} {site.id}", workspace.secret)
        runs = await asyncio.to_thread(Lines, hits.identities, occurrences)
        intake = self._intake
        occurred = span_of([each.event.occurred_at for each in events])
        try:
            async with intake.turn:
                before = await runs.known(intake.registry, owner)
                known = [False] * len(lines) if again else before
                refusals = hits.refusals.without(known)
                found = [each for each in events if not known[each.line]]
                there = len(events) - len(found)
                fresh: list[ImportedEvent] = []
                present: set[bytes] = set()
                received: set[bytes] = set()
                if not dry_run and not all(known):
                    await intake.make_room()
                if found:
                    found = by_id(found)
                    present, received = await self._there(workspace.id, site.id, found, visitors.live_days)
                    fresh = without(found, present | received)
                    if not again:
                        fresh = await intake.settled(site.id, fresh, (runs, before), refusals)
                if not dry_run and not all(known):
                    await intake.append(workspace.id, SOURCE, fresh)
                    await intake.register(owner, runs, before)
                    await intake.tell(workspace.id, SOURCE, refusals.without(before).tallies(site.id))
            return AccessLogOutcome(
                added=dict(Counter(each.event.event_type for each in fresh)),
                received=len(received),
                present=there + len(present),
                repeated=sum(known),
                rejected=refusals.counts,
                problems=refusals.problems,
                occurred=occurred,
            )
        finally:
            await asyncio.to_thread(let_go, hits.hits, hits.identities, events, runs.lines)

    async def _links(self, workspace_id: str, hits: Hits, origin: str) -> Mapping[Place, Link]:
        """The workspace's links among the places that lines redirect from."""
        places = list(hits.places)
        found = await asyncio.gather(
            *(self._directory.link(self._domain(host, origin), code) for host, code in places)
        )
        return {
            place: link
            for place, link in zip(places, found, strict=True)
            if link is not None and link.workspace_id == workspace_id
        }

    def _domain(self, host: str, origin: str) -> str:
        """The short domain of a line: that of its host, if it is one; else the installation's own."""
        return self._directory.short_domain(host or origin.partition("://")[2])

    async def _there(
        self, workspace_id: str, site_id: str, found: Sequence[ImportedEvent], live_days: frozenset[int]
    ) -> tuple[set[bytes], set[bytes]]:
        """The ids among these that an import has brought, and those that were received live."""
        times = [each.event.occurred_at for each in found]
        # A look at the range is cheap, and most ranges of the past are empty.
        sources = await self._intake.sources(workspace_id, min(times) - 2000, max(times) + 11_000)
        imported = any(source.startswith("import:") for source in sources)
        intake = self._intake
        present = await intake.present(workspace_id, found) if imported else intake.pending(found)
        received: set[bytes] = set()
        if any(not source.startswith("import:") for source in sources):
            rest = [each for each in found if each.event.event_id not in present]
            received = await self._matcher.received(workspace_id, site_id, rest, live_days)
        return present, received


def _check_settled(hits: Hits) -> None:
    youngest = max((hit.request.at for hit in hits.hits), default=0)
    wait = (youngest + _SETTLED_MS) / 1000 - time.time()
    if wait > 0:
        raise Retryable(
            "the file goes up to this minute; its end is compared with what was received when that is stored",
            retry_after=min(wait, 10.0),
        )


def _fallback(site: Site) -> str:
    """Where the site is, as far as it says so itself."""
    return next((f"https://{host}" for host in site.origins if not host.startswith("*")), "")


def _origin(given: str) -> str:
    """Raises Invalid unless it is like https://www.example.com, or empty."""
    if not given:
        return ""
    try:
        origin = check_target(given, ()).removesuffix("/")
    except Invalid as error:
        raise Invalid(str(error).replace("url", "origin", 1), field="origin") from None
    if origin.count("/") != 2 or "?" in origin or "#" in origin:
        raise Invalid("origin must be a scheme and a host, as in https://www.example.com", field="origin")
    return origin
