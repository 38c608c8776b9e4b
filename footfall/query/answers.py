"""Answers of the query language: rows of metrics and dimensions, compared, filled, and explained."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from footfall.model.times import Seconds
from footfall.query.catalog.fields import KINDS, PROPERTY
from footfall.query.catalog.metrics import METRICS
from footfall.query.engine import Engine, QueryResult
from footfall.query.exits import find_exits
from footfall.query.language.body import EXIT_RATE, ResolvedQuery
from footfall.query.language.periods import Period
from footfall.query.language.question import TIME, TIMES, WEEKDAY, And, Comparison, Question
from footfall.query.plan.parts import Said

_COMPARED_ROWS = 10_000

Value = float | str | dict[str, int] | None
"""Of a metric. Whole numbers are `int`: in a JSON schema they are numbers too, and must be named once."""


class Compared(Struct, frozen=True):
    """The same row in the period compared with, and the change relative to it: 0.1 is 10 % more."""

    metrics: list[Value]
    change: Annotated[
        list[float | None], Meta(description="null where there is nothing to compare with, or no number.")
    ]


class Row(Struct, frozen=True, omit_defaults=True):
    """One row, in the order asked for."""

    metrics: list[Value]
    dimensions: list[str | float | bool]
    comparison: Annotated[
        Compared | UnsetType, Meta(description="Missing also where too many rows were there before.")
    ] = UNSET


class Table(Struct, frozen=True):
    """The rows, all buckets when one dimension is time, and what was found for them."""

    rows: list[Row]
    total: int
    buckets: list[str]
    found: list[QueryResult]
    uniques: list[int]


class Overall(NamedTuple):
    """What was found of visitors for shares and rates.

    `exits`: the exit rate of rows by their dimensions, where it was asked for.
    `visitors`: for each, the places of the dimensions that tell them apart, and how many there are by these.
    """

    found: Sequence[QueryResult]
    visitors: Mapping[str, tuple[Sequence[int], Mapping[tuple[Any, ...], int]]]
    exits: Mapping[tuple[Any, ...], float] = {}

    def of(self, metric: str, dimensions: Sequence[Any]) -> int:
        """The visitors that a metric of the row with these dimensions is divided by; 0 where it is not."""
        places, visitors = self.visitors.get(metric, ((), {}))
        return (
            visitors.get(tuple(dimensions[place] for place in places), 0)
            if len(dimensions) > max(places, default=-1)
            else 0
        )


class QueryRunner:
    """Asks what one query means. `before`: the same question about the period to compare with."""

    def __init__(
        self, engine: Engine, asked: ResolvedQuery, before: ResolvedQuery | None, timeout: Seconds
    ) -> None:
        self._engine = engine
        self._asked = asked
        self._before = before
        self._timeout = timeout

    async def table(self) -> Table:
        """The whole answer. Raises Invalid, StoreDown."""
        question = self._asked.question
        filled = len(question.dimensions) == 1 and question.dimensions[0] in TIMES
        if filled:
            question = msgspec.structs.replace(question, limit=len(_every(question)), offset=0)
        found, overall = await self._find(self._asked, question)
        # What is done with each row is done in a thread: there may be ten thousand.
        rows = await asyncio.to_thread(self._rows, question, found, overall, filled=filled)
        total = len(_every(question)) if filled else found.total
        all_found = [self._as_asked(found), *overall.found]
        uniques = _uniques(question, found, overall)
        if self._before and rows:
            others, more, rows = await self._compared(self._before, question, rows)
            all_found += others
            uniques += more
        shown, buckets = await asyncio.to_thread(self._shown, question, rows)
        return Table(shown, total, buckets, all_found, uniques)

    def _rows(self, question: Question, found: QueryResult, overall: Overall, *, filled: bool) -> list[Row]:
        """The rows of the page. `filled`: with those of empty buckets."""
        rows = [self._row(question, row, overall) for row in found.rows]
        if not filled:
            return rows
        there = {row.dimensions[0] for row in rows}
        empty = [self._empty_row([at], overall) for at in _every(question) if at not in there]
        rows = _in_order(question, self._asked.metrics, rows + empty)
        first = self._asked.question.offset
        return rows[first : first + self._asked.question.limit]

    def _shown(self, question: Question, rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
        """The rows and all buckets, with instants as ISO 8601."""
        period = question.period
        shown = [_shown(row, question.dimensions, period, self._asked.metrics) for row in rows]
        return shown, [period.iso(at) for at in question.buckets]

    async def _find(self, asked: ResolvedQuery, question: Question) -> tuple[QueryResult, Overall]:
        """What is found of the question, and what its shares and rates are of."""
        found, overall = await asyncio.gather(
            self._engine.find(question, self._timeout), self._overall(asked)
        )
        if EXIT_RATE in asked.metrics and found.rows:
            exits = await find_exits(
                question, found.rows, lambda each: self._engine.find(each, self._timeout)
            )
            overall = overall._replace(found=[*overall.found, *exits.found], exits=exits.rates)
        return found, overall

    async def _overall(self, asked: ResolvedQuery) -> Overall:
        """The visitors that shares and rates are of."""
        names = asked.made_of_visitors()
        questions = [asked.everybody(name) for name in names]
        found = await asyncio.gather(*(self._engine.find(each, self._timeout) for each in questions))
        places = [[asked.question.dimensions.index(name) for name in each.dimensions] for each in questions]
        visitors = [{tuple(row[:-1]): int(row[-1]) for row in each.rows} for each in found]
        return Overall(found, dict(zip(names, zip(places, visitors, strict=True), strict=True)))

    def _as_asked(self, found: QueryResult) -> QueryResult:
        """What lacks something, by the names that were asked for: shares and rates are made of visitors."""
        made = self._asked.made_of_visitors()

        def named(said: Said) -> Said:
            if "visitors" not in said.metrics:
                return said
            meant = {*said.metrics, *made}
            return Said(said.before, tuple(name for name in self._asked.metrics if name in meant))

        missing = tuple(named(each) if isinstance(each, Said) else each for each in found.missing)
        return found._replace(missing=missing, visits=tuple(map(named, found.visits)))

    def _empty_row(self, dimensions: list[str | float | bool], overall: Overall) -> Row:
        """Of no events."""
        values = {name: _nothing(name) for name in self._asked.metrics}
        values |= {name: 0.0 for name in values if overall.of(name, dimensions)}
        return Row(list(values.values()), dimensions)

    def _row(self, question: Question, row: Sequence[Any], overall: Overall) -> Row:
        width = len(question.dimensions)
        values = dict(zip(question.metrics, row[width:], strict=True))
        for name in overall.visitors:
            everybody = overall.of(name, row[:width])
            values[name] = values["visitors"] / everybody if everybody else None
        values[EXIT_RATE] = overall.exits.get(tuple(row[:width]))
        return Row([values[name] for name in self._asked.metrics], list(row[:width]))

    async def _compared(
        self, before: ResolvedQuery, question: Question, rows: Sequence[Row]
    ) -> tuple[list[QueryResult], list[int], list[Row]]:
        """The rows with what they were in the period before; buckets are matched by their number."""
        then = before.question
        limits = [_among(name, rows, place) for place, name in enumerate(question.dimensions)]
        then = msgspec.structs.replace(
            then,
            where=And((then.where, *(limit for limit in limits if limit))),
            limit=_COMPARED_ROWS,
            offset=0,
            order_by=(),
        )
        found, overall = await self._find(before, then)
        compared = await asyncio.to_thread(self._beside, then, found, overall, question, rows)
        return [self._as_asked(found), *overall.found], _uniques(then, found, overall), compared

    def _beside(
        self,
        then: Question,
        found: QueryResult,
        overall: Overall,
        question: Question,
        rows: Sequence[Row],
    ) -> list[Row]:
        """The rows with those found of `then`."""
        key_then, key = _keys(then), _keys(question)
        known: dict[tuple[Any, ...], Row] = {}
        for each in found.rows:
            row = self._row(then, each, overall)
            known[key_then(row)] = row
        nothing = self._empty_row([], overall)
        compared: list[Row] = []
        for row in rows:
            was_there = known.get(key(row))
            if was_there is None and found.total > len(found.rows):  # or perhaps it was beyond the limit
                compared.append(row)
                continue
            old = (was_there or nothing).metrics
            change = [
                _change(name, new, was)
                for name, new, was in zip(self._asked.metrics, row.metrics, old, strict=True)
            ]
            compared.append(msgspec.structs.replace(row, comparison=Compared(list(old), change)))
        return compared


def _every(question: Question) -> Sequence[int]:
    """All values of the only dimension, which is one of TIMES."""
    name = question.dimensions[0]
    return question.buckets if name == TIME else question.period.shown_by_clocks(days=name == WEEKDAY)


def _among(name: str, rows: Sequence[Row], place: int) -> Comparison | None:
    """Only the values of a dimension that the page shows, where it can be filtered on."""
    shown = {row.dimensions[place] for row in rows}
    if KINDS.get(name) == "number":
        return Comparison(name, "is", tuple(sorted(float(value) for value in shown)))
    if KINDS.get(name) == "text" or name.startswith(PROPERTY):
        return Comparison(name, "is", tuple(sorted(str(value) for value in shown)))
    return None


def _keys(question: Question) -> Callable[[Row], tuple[Any, ...]]:
    """What names a row in both periods: its dimensions, with a bucket's number for the bucket."""
    if TIME not in question.dimensions:
        return lambda row: tuple(row.dimensions)
    place = question.dimensions.index(TIME)
    numbers = {at: number for number, at in enumerate(question.buckets)}
    return lambda row: tuple(
        numbers[int(value)] if number == place else value for number, value in enumerate(row.dimensions)
    )


def _in_order(question: Question, metrics: Sequence[str], rows: list[Row]) -> list[Row]:
    """The rows of buckets as the question orders them, as the store would: null comes last."""
    for name in reversed(question.order_by):
        bare = name.removeprefix("-")
        values: list[Any] = [row.dimensions[0] for row in rows]
        if bare not in TIMES:  # for `visitors` there may be their share only, which has the same order
            share = next((each for each in ("percentage", "conversion_rate") if each in metrics), metrics[0])
            place = metrics.index(bare if bare in metrics else share)
            values = [_sortable(row.metrics[place]) for row in rows]
        known = [(value, row) for value, row in zip(values, rows, strict=True) if value is not None]
        known.sort(key=lambda pair: pair[0], reverse=name.startswith("-"))
        unknown = [row for value, row in zip(values, rows, strict=True) if value is None]
        rows = [*(row for _, row in known), *unknown]
    return rows


def _sortable(value: Value) -> Any:
    return sum(value.values()) if isinstance(value, dict) else value


def _nothing(metric: str) -> Value:
    """What a metric is of no events."""
    unit = METRICS[metric].unit
    return 0 if unit in ("count", "uniques") else {} if unit == "money" else None


def _change(metric: str, new: Value, old: Value) -> float | None:
    if METRICS[metric].unit == "time" or not old:
        return None
    if not isinstance(new, int | float) or not isinstance(old, int | float):
        return None
    return new / old - 1


def _shown(row: Row, dimensions: Sequence[str], period: Period, metrics: Sequence[str]) -> Row:
    """With instants as ISO 8601."""
    shown = [
        period.iso(int(value)) if name == TIME else value
        for name, value in zip(dimensions, row.dimensions, strict=True)
    ]

    def values(given: Sequence[Value]) -> list[Value]:
        return [
            period.iso(value) if METRICS[name].unit == "time" and isinstance(value, int) else value
            for name, value in zip(metrics, given, strict=True)
        ]

    compared = row.comparison
    if compared is not UNSET:
        compared = Compared(values(compared.metrics), compared.change)
    return Row(values(row.metrics), shown, compared)


def _uniques(question: Question, found: QueryResult, overall: Overall) -> list[int]:
    """All counts of different things that an answer is made of."""
    places = [
        len(question.dimensions) + number
        for number, name in enumerate(question.metrics)
        if METRICS[name].unit == "uniques"
    ]
    visitors = [count for _, counts in overall.visitors.values() for count in counts.values()]
    return [*visitors, *(row[place] for row in found.rows for place in places)]


TagsOf = Mapping[str, Sequence[str]]
"""For each tag the links that carry it."""
