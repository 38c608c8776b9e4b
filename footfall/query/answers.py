"""Answers of the query language: rows of metrics and dimensions, compared, filled, and explained."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from footfall.query.engine import Engine, Found
from footfall.query.fields import KINDS, PROPERTY
from footfall.query.language import Understood
from footfall.query.metrics import METRICS
from footfall.query.periods import Period
from footfall.query.question import TIME, All, Question, Where

_COMPARED_ROWS = 10_000

Value = int | float | str | dict[str, int] | None


class Compared(Struct, frozen=True):
    """The same row in the period compared with, and the change relative to it: 0.1 is 10 % more."""

    metrics: list[Value]
    change: Annotated[
        list[float | None], Meta(description="null where there is nothing to compare with, or no number.")
    ]


class Row(Struct, frozen=True, omit_defaults=True):
    """One row, in the order asked for."""

    metrics: list[Value]
    dimensions: list[str | int | float | bool]
    comparison: Compared | UnsetType = UNSET


class Table(Struct, frozen=True):
    """The rows, all buckets when one dimension is time, and what was found for them."""

    rows: list[Row]
    total: int
    buckets: list[str]
    found: list[Found]
    uniques: list[int]


class Asker:
    """Asks what one query means. `before`: the same question about the period to compare with."""

    def __init__(self, engine: Engine, asked: Understood, before: Understood | None, timeout: float) -> None:
        self._engine = engine
        self._asked = asked
        self._before = before
        self._timeout = timeout

    async def table(self) -> Table:
        """The whole answer. Raises Invalid, StoreDown."""
        question = self._asked.question
        filled = question.dimensions == (TIME,)
        if filled:
            question = msgspec.structs.replace(question, limit=len(question.buckets), offset=0)
        found, overall = await asyncio.gather(
            self._engine.find(question, self._timeout), self._overall(question)
        )
        rows = [self._row(question, row, overall) for row in found.rows]
        total = found.total
        if filled:
            rows, total = _filled(question, self._asked.metrics, rows), len(question.buckets)
            first = self._asked.question.offset
            rows = rows[first : first + self._asked.question.limit]
        all_found = [found, *([overall] if overall else [])]
        if self._before and rows:
            then = await self._compared(self._before, question, rows)
            rows = then[1]
            all_found += then[0]
        period = question.period
        return Table(
            rows=[_shown(row, question.dimensions, period, self._asked.metrics) for row in rows],
            total=total,
            buckets=[period.iso(at) for at in question.buckets],
            found=all_found,
            uniques=_uniques(question, found),
        )

    async def _overall(self, question: Question) -> Found | None:
        """The visitors of all rows, for their shares."""
        if "percentage" not in self._asked.metrics:
            return None
        whole = msgspec.structs.replace(
            question, metrics=("visitors",), dimensions=(), order_by=(), buckets=(), limit=1, offset=0
        )
        return await self._engine.find(whole, self._timeout)

    def _row(self, question: Question, row: Sequence[Any], overall: Found | None) -> Row:
        width = len(question.dimensions)
        values = dict(zip(question.metrics, row[width:], strict=True))
        if overall is not None:
            everybody = overall.rows[0][0]
            values["percentage"] = values["visitors"] / everybody if everybody else None
        return Row([values[name] for name in self._asked.metrics], list(row[:width]))

    async def _compared(
        self, before: Understood, question: Question, rows: Sequence[Row]
    ) -> tuple[list[Found], list[Row]]:
        """The rows with what they were in the period before; buckets are matched by their number."""
        then = before.question
        limits = [_among(name, rows, place) for place, name in enumerate(question.dimensions)]
        then = msgspec.structs.replace(
            then,
            where=All((then.where, *(limit for limit in limits if limit))),
            limit=_COMPARED_ROWS,
            offset=0,
            order_by=(),
        )
        found, overall = await asyncio.gather(self._engine.find(then, self._timeout), self._overall(then))
        known: dict[tuple[Any, ...], Row] = {}
        for each in found.rows:
            row = self._row(then, each, overall)
            known[_key(then, row)] = row
        nothing = Row([_nothing(name) for name in self._asked.metrics], [])
        compared: list[Row] = []
        for row in rows:
            old = known.get(_key(question, row), nothing).metrics
            change = [_change(new, was) for new, was in zip(row.metrics, old, strict=True)]
            compared.append(msgspec.structs.replace(row, comparison=Compared(list(old), change)))
        return [found, *([overall] if overall else [])], compared


def _among(name: str, rows: Sequence[Row], place: int) -> Where | None:
    """Only the values of a dimension that the page shows, where it can be filtered on."""
    if KINDS.get(name) != "text" and not name.startswith(PROPERTY):
        return None
    return Where(name, "is", tuple(sorted({str(row.dimensions[place]) for row in rows})))


def _key(question: Question, row: Row) -> tuple[Any, ...]:
    if TIME not in question.dimensions:
        return tuple(row.dimensions)
    place = question.dimensions.index(TIME)
    numbers = {at: number for number, at in enumerate(question.buckets)}
    return tuple(
        numbers[int(value)] if number == place else value for number, value in enumerate(row.dimensions)
    )


def _filled(question: Question, metrics: Sequence[str], rows: list[Row]) -> list[Row]:
    """The rows and those of the empty buckets: in their place by time, else behind the others."""
    there = {row.dimensions[0] for row in rows}
    empty = [Row([_nothing(name) for name in metrics], [at]) for at in question.buckets if at not in there]
    if question.order_by[0].removeprefix("-") != TIME:
        return rows + empty
    backwards = question.order_by[0].startswith("-")
    return sorted(rows + empty, key=lambda row: row.dimensions[0], reverse=backwards)


def _nothing(metric: str) -> Value:
    """What a metric is of no events."""
    unit = METRICS[metric].unit
    return 0 if unit in ("count", "uniques") else {} if unit == "money" else None


def _change(new: Value, old: Value) -> float | None:
    if not isinstance(new, int | float) or not isinstance(old, int | float) or not old:
        return None
    return new / old - 1


def _shown(row: Row, dimensions: Sequence[str], period: Period, metrics: Sequence[str]) -> Row:
    """With instants as ISO 8601."""
    shown = [
        period.iso(int(value)) if name == TIME else value
        for name, value in zip(dimensions, row.dimensions, strict=True)
    ]
    values = [
        period.iso(value) if METRICS[name].unit == "time" and isinstance(value, int) else value
        for name, value in zip(metrics, row.metrics, strict=True)
    ]
    return Row(values, shown, row.comparison)


def _uniques(question: Question, found: Found) -> list[int]:
    places = [
        len(question.dimensions) + number
        for number, name in enumerate(question.metrics)
        if METRICS[name].unit == "uniques"
    ]
    return [row[place] for row in found.rows for place in places]


TagsOf = Mapping[str, Sequence[str]]
"""For each tag the links that carry it."""
