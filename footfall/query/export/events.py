"""The events of a question as pages of Arrow, however many there are.

Each page is a question of its own, so memory holds two pages whatever the range, a slow reader
keeps no query waiting, and an export can go on after any event. What is exported is what there
was when it began: of each shard of the log the events up to the newest one then.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa

from footfall.errors import Invalid, Retryable
from footfall.model.calendar import instant
from footfall.model.times import HOUR_MS, Seconds
from footfall.query.engine import Engine
from footfall.query.language.question import Question
from footfall.query.sql import export
from footfall.query.sql.export import SCHEMA, ExportCursor, Place
from footfall.store.statement import Statement

PAGE_ROWS = 50_000
PAGE_BYTES = 16 << 20
"""A page has at most PAGE_ROWS rows, and about PAGE_BYTES in Arrow."""

_FIRST_ROWS = 4096  # nothing is known of their size yet
_FEWEST = 64
_CHANGED = Retryable("the events changed while they were exported; ask again")


class ExportPlan(NamedTuple):
    """What an export will send. `sites`: in order, with their numbers of events; `rows`: at most so many.

    `next_cursor`: where to go on when there is more than `rows`.
    """

    part: ExportCursor
    sites: tuple[tuple[str, int], ...]
    rows: int
    next_cursor: str | None


class EventExport:
    """The events of one question. `timeout`: seconds that one page may take."""

    def __init__(self, engine: Engine, question: Question, timeout: Seconds) -> None:
        self._engine = engine
        self._question = question
        self._timeout = timeout

    async def plan(self, cursor: str | None, limit: int | None) -> ExportPlan:
        """Find out how much there is after `cursor`. Raises Invalid, StoreDown."""
        after = await self._place(cursor) if cursor is not None else None
        newest: dict[int, int] = {}
        sites: dict[str, int] = {}
        for row in await self._rows(export.totals(self._question, ExportCursor(after))):
            sites[row["site_id"]] = sites.get(row["site_id"], 0) + row["events"]
            newest[row["shard"]] = max(newest.get(row["shard"], 0), row["newest"])
        part, total = ExportCursor(after, newest), sum(sites.values())
        plan = ExportPlan(part, tuple(sites.items()), total, None)
        if limit is None or limit >= total:
            return plan
        return plan._replace(rows=limit, next_cursor=await self._cursor_at(plan, limit - 1))

    async def pages(self, plan: ExportPlan) -> AsyncGenerator[pa.Table]:
        """The events, at least one page. Raises Invalid, StoreDown.

        Raises Retryable when, at the end, it was not what the plan said: events were deleted meanwhile.
        """
        limited = plan.next_cursor is not None
        sent, rows, last_event = 0, _FIRST_ROWS, None
        if not plan.rows:
            yield SCHEMA.empty_table()
        async for window in self._windows(plan):
            part, more = window, True
            while more and not (limited and sent == plan.rows):
                limit = min(rows, plan.rows - sent) if limited else rows
                try:
                    page, last = await self._page(part, limit)
                except Invalid:  # too much memory, if they are unusually large
                    if rows <= _FEWEST:
                        raise
                    rows = max(rows // 8, _FEWEST)
                    continue
                more = page.num_rows == limit
                if last is None:
                    break
                part, last_event = part._replace(after=last), page.slice(page.num_rows - 1)
                sent += page.num_rows
                rows = _fitting(page)
                yield page
        if sent != plan.rows or (limited and _cursor_of(last_event) != plan.next_cursor):
            raise _CHANGED

    async def _page(self, part: ExportCursor, limit: int) -> tuple[pa.Table, Place | None]:
        statement = export.page(self._question, part, limit)
        return export.with_names(await self._engine.arrow(statement, self._timeout))

    async def _windows(self, plan: ExportPlan) -> AsyncIterator[ExportCursor]:
        """The parts to read one after the other: several small sites, or some hours of a large one."""
        first, together = "", 0
        last = ""
        for site, events in plan.sites:
            if together and together + events > PAGE_ROWS:
                yield plan.part._replace(sites=(first, last))
                together = 0
            if events > PAGE_ROWS:
                async for part in self._hours(plan.part._replace(sites=(site, site))):
                    yield part
                continue
            first, last = site if not together else first, site
            together += events
        if together:
            yield plan.part._replace(sites=(first, last))

    async def _hours(self, part: ExportCursor) -> AsyncIterator[ExportCursor]:
        start = end = together = 0
        for row in await self._rows(export.hours(self._question, part)):
            if together and together + row["events"] > PAGE_ROWS:
                yield part._replace(hours=(start, end))
                together = 0
            start, end = start if together else row["hour"], row["hour"] + HOUR_MS
            together += row["events"]
        if together:
            yield part._replace(hours=(start, end))

    async def _cursor_at(self, plan: ExportPlan, number: int) -> str:
        """The cursor of an event by its number."""
        for site, events in plan.sites:
            if number < events:
                return await self._cursor_in(plan.part._replace(sites=(site, site)), number)
            number -= events
        raise AssertionError("beyond the last event")

    async def _cursor_in(self, part: ExportCursor, number: int) -> str:
        for row in await self._rows(export.hours(self._question, part)):
            if number < row["events"]:
                hour = part._replace(hours=(row["hour"], row["hour"] + HOUR_MS))
                for event in await self._rows(export.nth(self._question, hour, number)):
                    return write_cursor(event["at"], event["id"])
                break
            number -= row["events"]
        raise _CHANGED

    async def _place(self, cursor: str) -> Place:
        at, event_id = read_cursor(cursor)
        statement = export.place_of(self._question.workspace_id, at, event_id)
        for row in await self._rows(statement):
            return Place(row["site_id"], at, row["shard"], row["seq"])
        raise Invalid("cursor: there is no event with this id at this time", field="cursor")

    async def _rows(self, statement: Statement) -> list[dict[str, Any]]:
        return (await self._engine.arrow(statement, self._timeout)).to_pylist()


def write_cursor(at: int, event_id: str) -> str:
    """The cursor of an event that occurred `at` (ms)."""
    time = datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{time}.{at % 1000:03d}Z,{event_id}"


def read_cursor(text: str) -> tuple[int, UUID]:
    """When an event occurred (ms) and its id. Raises Invalid."""
    time, comma, event_id = text.partition(",")
    with suppress(ValueError, OverflowError):
        # "+" means a space in a query string; nobody escapes the one of an offset.
        moment = datetime.fromisoformat(time.replace(" ", "+"))
        if comma and moment.tzinfo and moment.year < 2300:
            return max(instant(moment), 0), UUID(event_id)
    raise Invalid(
        "cursor must be occurred_at,event_id of the last event you have: "
        "2026-01-31T18:00:00.000Z,01890a5d-ac96-774b-bcce-b302099a8057",
        field="cursor",
    )


def _cursor_of(event: pa.Table | None) -> str | None:
    if event is None:
        return None
    (row,) = event.select(["occurred_at", "event_id"]).to_pylist()
    return write_cursor(instant(row["occurred_at"]), row["event_id"])


def _fitting(page: pa.Table) -> int:
    """How many rows the next page may have."""
    return max(_FEWEST, min(PAGE_ROWS, PAGE_BYTES * page.num_rows // max(page.nbytes, 1)))
