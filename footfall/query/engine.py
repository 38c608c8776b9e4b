"""Answers questions: plans them, asks the store, and shares answers between those who ask the same."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import msgspec
import pyarrow as pa

from footfall import metrics
from footfall.model.calendar import month_end, month_start
from footfall.model.times import DAY_MS, Seconds
from footfall.query.catalog.fields import VISIT
from footfall.query.catalog.measures import NEW
from footfall.query.first_events import FirstEvents
from footfall.query.language.periods import Period
from footfall.query.language.question import Question, about_events, about_visits, fields_in, sites_asked
from footfall.query.plan.gaps import LostMonth, LostRollups, lost_months, lost_rollups, missing_before
from footfall.query.plan.parts import (
    PlanPart,
    Said,
    Source,
    missing_in,
    parts_of,
    reasons_of,
    source_of,
    visits_in,
)
from footfall.query.plan.planner import SMALL, Reason
from footfall.query.remembered import Remembered
from footfall.query.sql.cursor import Cursor
from footfall.query.sql.first_clicks import ClickKey, first_clicks
from footfall.query.sql.select import extent, listing, property_names, select, split, upgraded
from footfall.state.rollups.manifest import Manifest
from footfall.state.rollups.row_counts import RowCounts
from footfall.store.port import Store
from footfall.store.statement import Statement

CLOSED_SECONDS = 30.0
"""How long an answer about a range that is over may be shown though events were stored since."""

_FURTHER = 8  # times as far back events are looked for, where too few were found
_LATE = 60.0


class RollupCatalog(Protocol):
    """What the engine asks of the state: see `state.rollups.builds` and `state.rollups.row_counts`."""

    async def manifest(self) -> Manifest: ...  # noqa: D102 - said above

    async def stored(self, workspace_id: str) -> RowCounts: ...  # noqa: D102 - said above


class QueryResult(NamedTuple):
    """Rows of a question, and what `sql.select.Totals` says of all its groups (`total`).

    `source`: where they come from, and `reasons`: why; `at`: when they were looked for (Unix time).
    `missing`: which metrics lack events that are not kept any more, and until when, and months of which
    the store lost some; `visits`: which know visits only by what was kept of them. `own_before`: what was
    stored before this time (ms) says of its visit's source what it says of itself. `new_since`: from this
    time (ms) on all events are kept by which new visitors are told; None where nobody asks for these.
    """

    rows: Sequence[tuple[Any, ...]]
    total: int
    at: float
    unidentified: int = 0
    known_for_a_day: int = 0
    sampled: int = 0
    source: Source = "raw"
    missing: tuple[Said | LostMonth | LostRollups, ...] = ()
    visits: tuple[Said, ...] = ()
    reasons: tuple[Reason, ...] = ()
    own_before: int | None = None
    new_since: int | None = None


class _Known(NamedTuple):
    found: QueryResult
    state: object
    at: float


class Engine:
    """One per console. `rollups`: None where there are none, and then nothing is remembered either.

    `remember`: so many answers, fewer if they are large. `missing`: the first and last times (ms) of rollups
    that are published and not, or not all, in the store.
    """

    def __init__(
        self,
        store: Store,
        rollups: RollupCatalog | None = None,
        *,
        small: int = SMALL,
        remember: int = 500,
        missing: Callable[[], Collection[tuple[int, int]]] = tuple,
    ) -> None:
        self._store = store
        self._rollups = rollups
        self._missing = missing
        self._small = small
        self._known: Remembered[_Known] = Remembered(remember)
        self._first = FirstEvents(self._query)
        self._flights: dict[bytes, _Flight] = {}
        self._upgraded: int | None = None

    async def find(self, question: Question, timeout: Seconds) -> QueryResult:  # noqa: ASYNC109 - see the store's port
        """Answer one question. Raises Invalid when it takes too long, StoreDown.

        Who asks what is being answered already waits for that. An answer is given again as long
        as nothing was stored since; one about a range that is over for CLOSED_SECONDS.
        """
        question = about_visits(question)
        if self._rollups is None:
            return await self._answer(question, None, None, timeout)
        manifest = await self._rollups.manifest()
        stored = await self._rollups.stored(question.workspace_id)
        state = (manifest.version, stored.positions)
        gone = sorted(self._store.missing()), sorted(self._missing())
        key = blake2b(msgspec.msgpack.encode((question, manifest.version, gone)), digest_size=32).digest()
        known = self._known.get(key)
        if known and (known.state == state or _still_good(known, question)):
            metrics.QUERY_CACHE.labels("hit").inc()
            return known.found
        metrics.QUERY_CACHE.labels("miss").inc()
        flight = self._flights.get(key)
        if flight is None or flight.state != state:
            flight = _Flight(state, self._settled(question, manifest, stored, timeout))
            self._flights[key] = flight
        try:
            found = await flight.join()
        finally:
            if flight.over and self._flights.get(key) is flight:
                del self._flights[key]
        self._known.keep(key, _Known(found, state, time.monotonic()), found.rows)
        return found

    async def events(
        self,
        question: Question,
        columns: Sequence[str],
        timeout: Seconds,  # noqa: ASYNC109 - see the store's port
        after: Cursor | None = None,
    ) -> Sequence[tuple[Any, ...]]:
        """The events of a question themselves, newest first; those after a place.

        What is newest is mostly within a day of the end: only where that is not enough, more is looked at.
        """
        question = about_events(question)
        end = min(question.period.end, after.occurred_at + 1) if after else question.period.end
        span = DAY_MS
        while (since := end - span) > question.period.start:
            rows = await self._query(listing(question, columns, after, since), timeout)
            if len(rows) == question.limit:
                return rows
            span *= _FURTHER
        return await self._query(listing(question, columns, after), timeout)

    async def first_clicks(
        self,
        workspace_id: str,
        keys: Sequence[ClickKey],
        timeout: Seconds,  # noqa: ASYNC109 - see the store's port
    ) -> set[tuple[int, int]]:
        """The places in the log (shard, seq) of the first clicks of these."""
        if not keys:
            return set()
        return {place for _, place in await self._query(first_clicks(workspace_id, keys), timeout)}

    async def extent(
        self,
        question: Question,
        received_until: int | None,
        timeout: Seconds,  # noqa: ASYNC109 - see the store's port
    ) -> tuple[QueryResult, int]:
        """How many events a question has (`total`), and when the newest was received (ms).

        What is missing is not said: see `gone`.
        """
        at = time.time()
        ((count, sampled, newest),) = await self._query(
            extent(about_events(question), received_until), timeout
        )
        return QueryResult([], total=count, sampled=sampled, at=at, reasons=("events",)), newest

    async def properties(self, question: Question, timeout: Seconds) -> QueryResult:  # noqa: ASYNC109 - as above
        """Names of properties with events, visitors and different values of each."""
        at, question = time.time(), about_visits(question)
        rows = await self._query(property_names(question), timeout)
        summary = rows
        if not rows and question.offset:
            first = msgspec.structs.replace(question, offset=0, limit=1)
            summary = await self._query(property_names(first), timeout)
        gone = await self.gone(question)
        total = summary[0][-1] if summary else 0
        return QueryResult([row[:-1] for row in rows], total=total, at=at, missing=gone, reasons=("events",))

    async def first_event(self, workspace_id: str, sites: Sequence[str] | None = None) -> int | None:
        """When the first event that anything is known of occurred (ms), or its hour or day began.

        `sites`: of these only.
        """
        if sites is not None:
            return await self._first.look(workspace_id, sites=sites)
        if self._rollups is None:
            return await self._first.look(workspace_id)
        manifest = await self._rollups.manifest()
        stored = await self._rollups.stored(workspace_id)
        return await self._first.of(workspace_id, manifest.version, stored.positions)

    async def arrow(self, statement: Statement, timeout: Seconds) -> pa.Table:  # noqa: ASYNC109 - as above
        """What one SELECT finds, in columns. Nothing is remembered. Raises Invalid, StoreDown."""
        return await self._store.arrow(statement.sql, statement.parameters, timeout=timeout)

    async def _settled(
        self, question: Question, manifest: Manifest, stored: RowCounts, seconds: Seconds
    ) -> QueryResult:
        """The answer; once more where something was deleted meanwhile, of which it may have seen half."""
        assert self._rollups is not None
        while True:
            found = await self._answer(question, manifest, stored, seconds)
            before, manifest = manifest, await self._rollups.manifest()
            if _deleted_of(before) == _deleted_of(manifest):
                return found
            stored = await self._rollups.stored(question.workspace_id)

    async def _answer(
        self, question: Question, manifest: Manifest | None, stored: RowCounts | None, seconds: Seconds
    ) -> QueryResult:
        at = time.time()
        parts: tuple[PlanPart, ...] = ()
        if manifest and stored:
            parts = parts_of(question, manifest, stored, self._small)
        source = source_of(parts) if parts else "raw"
        rows = await self._query(select(question, parts), seconds)
        found, totals = split(rows)
        if not rows and question.offset:  # past the end: the totals stand in any other row
            first = msgspec.structs.replace(question, offset=0, limit=1)
            _, totals = split(await self._query(select(first, parts), seconds))
        lost = self._lost(question) + (() if source == "raw" else lost_rollups(question, self._missing()))
        return QueryResult(
            found,
            total=totals.groups,
            unidentified=totals.unidentified,
            known_for_a_day=totals.known_for_a_day,
            sampled=totals.sampled,
            source=source,
            at=at,
            missing=(*missing_in(parts), *lost),
            visits=visits_in(question, parts),
            reasons=reasons_of(parts) if parts else ("no_rollups",),
            own_before=await self._own_before(question, seconds),
            new_since=_new_since(question, manifest, stored, self._store.missing()),
        )

    async def _own_before(self, question: Question, seconds: Seconds) -> int | None:
        """When the store got the facts of visits, if a question is about them and about events of before."""
        if not any(name.startswith(VISIT) for name in (*question.dimensions, *fields_in(question.where))):
            return None
        at = self._upgraded
        if at is None:
            ((at,),) = await self._query(upgraded(), seconds)
            self._upgraded = at
        return at if question.period.start < at else None

    async def gone(self, question: Question) -> tuple[Said | LostMonth | LostRollups, ...]:
        """What the events alone lack of a question, as in `QueryResult.missing`; ask after they are read."""
        lost = self._lost(question)
        if self._rollups is None:
            return lost
        manifest = await self._rollups.manifest()
        before = missing_before(question, manifest, await self._rollups.stored(question.workspace_id))
        return lost if before is None else (Said(before), *lost)

    def _lost(self, question: Question) -> tuple[LostMonth | LostRollups, ...]:
        return lost_months(question, self._store.missing())

    async def _query(self, statement: Statement, seconds: Seconds) -> Sequence[tuple[Any, ...]]:
        return await self._store.query(statement.sql, statement.parameters, timeout=seconds)


def _new_since(
    question: Question, manifest: Manifest | None, stored: RowCounts | None, gone: Collection[int]
) -> int | None:
    """From when on all events are kept; before, some were deleted by retention or lost (`gone`: months)."""
    if NEW not in question.metrics:
        return None
    if manifest is None or stored is None:
        return 0
    asked = sites_asked(question)
    ours = (site for site in stored.sites if asked is None or site in asked)
    ends = [manifest.raw_from.get(site, 0) for site in ours]
    ends += [
        until
        for (workspace, site), until in manifest.lost_until.items()
        if workspace == question.workspace_id and (asked is None or site in asked)
    ]
    ends += [month_end(month) for month in gone if month_start(month) < question.period.end]
    return max(ends, default=0)


class _Flight:
    """A question on its way; it ends when nobody waits for it any more."""

    def __init__(self, state: object, answer: Any) -> None:
        self.state = state
        self._task: asyncio.Task[QueryResult] = asyncio.ensure_future(answer)
        self._waiting = 0

    @property
    def over(self) -> bool:
        return self._task.done() or not self._waiting

    async def join(self) -> QueryResult:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._task.cancel()


def _deleted_of(manifest: Manifest) -> object:
    """All that was deleted, or is about to be: it is written down before."""
    return manifest.raw_from, manifest.rollups_from, manifest.visits


def is_over(period: Period) -> bool:
    """Whether a range ended a while ago, so that only late events can still come into it."""
    return period.end < (time.time() - _LATE) * 1000


def _still_good(known: _Known, question: Question) -> bool:
    return is_over(question.period) and time.monotonic() - known.at < CLOSED_SECONDS
