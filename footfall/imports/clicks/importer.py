"""Imports of click files: lines -> the clicks that are not there yet -> the log.

An event's id is a keyed hash of its line and of how many identical lines the file had so far,
so an import can be repeated, broken off and continued, and adds only what is missing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from footfall.imports.clicks.chunk import LineProblem, Numbered, checked_format, read, with_links
from footfall.imports.intake import ImportedEvent, Intake, Span, by_id, let_go, span_of, without
from footfall.imports.runs import Lines, Owner
from footfall.model.reasons import Reason
from footfall.model.record import RawEvent
from footfall.tenants.model import Link, Workspace


class Links(Protocol):
    """What is needed of the links: they are there when it returns."""

    async def ensure_links(
        self, workspace_id: str, wanted: Sequence[tuple[str, str, str]]
    ) -> tuple[Mapping[tuple[str, str], Link], int]:
        """For each (domain, code, url) its link, by (domain, code), and how many were made.

        Left out is what no link may be.
        """
        ...


class ClicksOutcome(Struct, frozen=True):
    """What became of a chunk's lines.

    `present`: clicks that an import had brought already. `repeated`: lines that were imported
    before, which counts for those that are no clicks too. `problems` tells of the first refused
    lines, heartbeats aside. `occurred`: when the clicks of all lines did, new or not.
    """

    accepted: int
    present: int
    repeated: int
    rejected: dict[str, int]
    links_created: int
    problems: list[LineProblem]
    occurred: Span | None


class ClickImporter:
    """Takes chunks of lines, one chunk at a time."""

    def __init__(self, intake: Intake, links: Links) -> None:
        self._intake = intake
        self._links = links

    async def add(
        self,
        workspace: Workspace,
        format_name: str,
        lines: Sequence[str],
        occurrences: Sequence[int],
        *,
        again: bool = False,
    ) -> ClicksOutcome:
        """Append the clicks of `lines` that are missing; returns when they are safe in the log.

        `occurrences[i]` is the number of lines identical to `lines[i]` in the file up to and
        including it, so at least 1. `again`: look at lines that were imported before, too. Raises
        Invalid for a wrong chunk, Retryable when the worker is too far behind or the log is
        full; repeating the chunk is right after both.
        """
        parse = checked_format(format_name, lines, occurrences)
        found, refusals = await asyncio.to_thread(read, parse, workspace.secret, lines, occurrences)
        runs = await asyncio.to_thread(lambda: Lines([line.encode() for line in lines], occurrences))
        source = f"import:{format_name}"
        owner = Owner(workspace.id, source, workspace.secret)
        intake = self._intake
        occurred = span_of([each.click.occurred_at for each in found])
        events: list[ImportedEvent] = []
        fresh: list[ImportedEvent] = []
        try:
            async with intake.turn:
                before = await runs.known(intake.registry, owner)
                known = [False] * len(lines) if again else before
                unknown = [each for each in found if not known[each.line]]
                there = len(found) - len(unknown)
                refusals = refusals.without(known)
                links, created = await self._ensure_links(workspace.id, unknown)
                clicks = await asyncio.to_thread(with_links, unknown, links, refusals)
                if not all(known):
                    await intake.make_room()
                    events = await asyncio.to_thread(_events, clicks, links)
                    fresh = without(events, await intake.present(workspace.id, events))
                    if not again:
                        fresh = await intake.settled("", fresh, (runs, before), refusals)
                    fresh = by_id(fresh)
                    await intake.append(workspace.id, source, fresh)
                    await intake.register(owner, runs, before)
                    await intake.tell(workspace.id, source, refusals.without(before).tallies())
            return ClicksOutcome(
                accepted=len(fresh),
                present=there + len(clicks) - len(fresh) - refusals.counts.get(Reason.PERHAPS_IMPORTED, 0),
                repeated=sum(known),
                rejected=refusals.counts,
                links_created=created,
                problems=refusals.problems,
                occurred=occurred,
            )
        finally:
            await asyncio.to_thread(let_go, found, events, runs.lines)

    async def _ensure_links(
        self, workspace_id: str, clicks: Sequence[Numbered]
    ) -> tuple[Mapping[tuple[str, str], Link], int]:
        targets: dict[tuple[str, str], str] = {}
        for _, click, _ in clicks:
            targets.setdefault((click.domain, click.code), click.url)
        if not targets:
            return {}, 0
        return await self._links.ensure_links(
            workspace_id, [(domain, code, url) for (domain, code), url in targets.items()]
        )


def _events(clicks: Sequence[Numbered], links: Mapping[tuple[str, str], Link]) -> list[ImportedEvent]:
    return [
        ImportedEvent(
            line,
            RawEvent(
                event_id=key,
                event_type="click",
                occurred_at=click.occurred_at,
                referrer=click.referrer,
                properties=click.properties,
                link_id=links[click.domain, click.code].id,
                short_code=click.code,
                destination_url=click.url,
            ),
            click.visit,
        )
        for key, click, line in clicks
    ]
