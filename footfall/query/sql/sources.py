"""Where rows are read from: the events, or rollups together with the events they lack."""

from collections.abc import Callable, Mapping, Sequence

from footfall.model.cubes import MEASURES, Measure, columns_of
from footfall.model.session_fields import PAGE_OF
from footfall.model.times import HOUR_MS
from footfall.query.catalog.fields import GOAL, SESSION_FIELDS, TAG, dimension_sql, over_events
from footfall.query.catalog.measures import NEW, OF_EVENTS
from footfall.query.language.question import (
    CLOCKS,
    TIME,
    WEEKDAY,
    HasDone,
    InOrder,
    Question,
    fields_asked,
    sites_asked,
)
from footfall.query.plan.archived_sessions import ArchiveSource
from footfall.query.plan.planner import Cover, RollupSource
from footfall.query.sql.conditions import Conditions, key_of
from footfall.query.sql.first_seen import is_first
from footfall.query.sql.node import Select, UnionAll, named
from footfall.query.sql.sequences import in_order
from footfall.rollups.rows import is_going
from footfall.store import position_sql
from footfall.store.statement import Values, any_of

_AT = "(toInt64(toUnixTimestamp(at)) * 1000)"  # when the bucket of a row began, ms

KEYS = ("event_type", "is_bot")
"""What metrics ask of rows beside the dimensions."""

_SEVERAL = (TAG, GOAL)
_DAY = 24 * HOUR_MS
# 1970 began on a Thursday. Counted from a Monday before it, no time is negative in any zone.
_SINCE_MONDAY = (7 + 3) * _DAY
_NO_SESSIONS = f"defaultValueOfTypeName('{MEASURES['sessions'].type}')"


class Events:
    """The events of a question.

    `whatever_bots`: the metrics themselves tell bots from others. `kept`: what stands for visits whose
    events were deleted, or are about to be; those are left out.
    """

    def __init__(
        self,
        question: Question,
        values: Values,
        *,
        whatever_bots: bool = False,
        kept: ArchiveSource | None = None,
    ) -> None:
        self.question = question
        self.values = values
        self.kept = kept
        self.bots = None if whatever_bots else question.bots
        self._fields: dict[str, str] = {}
        self._visits = sorted(SESSION_FIELDS & fields_asked(question))

    def field(self, name: str) -> str:
        """A field's SQL."""
        if name not in self._fields:
            joined = name in SESSION_FIELDS
            self._fields[name] = f"visit.page_{name}" if joined else over_events(name, self.values)
        return self._fields[name]

    def dimensions(self) -> list[str]:
        """The SQL of each dimension."""
        return _dimensions(self.question, self.field, "toUnixTimestamp64Milli(occurred_at)", self.values)

    def base(self) -> list[str]:
        """The conditions of the workspace, the sites asked about, the range, and bots."""
        period, values = self.question.period, self.values
        sites = sites_asked(self.question)
        going = self.kept.going if self.kept else ()
        return [
            f"workspace_id = {values.add(self.question.workspace_id, 'String')}",
            *([] if sites is None else [f"site_id IN {values.add(sorted(sites), 'Array(String)')}"]),
            f"occurred_at >= {values.time(period.start)}",
            f"occurred_at < {values.time(period.end)}",
            *_bots(only=self.bots),
            *(f"NOT ({is_going(each, values)})" for each in going),
        ]

    def condition(self, field: Callable[[str], str]) -> str:
        """The question's own condition, over a source with these fields."""
        return Conditions(self.values, field, self._who).sql(self.question.where)

    def select(
        self,
        columns: Mapping[str, str],
        *more: str,
        group_by: Sequence[str] = (),
        order_by: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> Select:
        """A SELECT from the events of the question; `more` are further conditions."""
        where = (*self.base(), self.condition(self.field), *more)
        return Select(columns, self._source(), where, group_by, order_by, limit, offset)

    def select_everything(self, columns: Mapping[str, str], *more: str, group_by: Sequence[str]) -> Select:
        """A SELECT from all events of the range, whatever the question's own condition is."""
        return Select(columns, self._source(), (*self.base(), *more), group_by)

    def group_keys(self) -> str:
        """An array with a hash of the dimensions for each group that an event belongs to."""
        question = self.question
        several = {
            name: _several(name, question, self.field, self.values)
            for name in question.dimensions
            if name in _SEVERAL
        }
        hashed = [
            name if name in several else sql
            for name, sql in zip(question.dimensions, self.dimensions(), strict=True)
        ]
        keys = f"[cityHash64({', '.join(hashed)})]"
        for name, values in several.items():
            keys = f"arrayFlatten(arrayMap({name} -> {keys}, {values}))"
        return keys

    def kept_visits(self, outputs: Callable[[Sequence[str]], Mapping[str, str]]) -> Select:
        """A SELECT of `outputs`, which are given the SQL of the dimensions, from what is kept of visits."""
        question, add, kept = self.question, self.values.add, self.kept
        assert kept is not None

        def field(name: str) -> str:
            return "value" if name == kept.field else name

        dimensions = _dimensions(question, field, _AT, self.values)
        conditions = [
            f"workspace_id = {add(question.workspace_id, 'String')}",
            f"field = {add(kept.field, 'String')}",
            f"build IN {add(list(kept.builds), 'Array(UInt64)')}",
            _begins_in(kept.covers, self.values),
            *_bots(only=self.bots),
            self.condition(field),
        ]
        return Select(outputs(dimensions), "visits", conditions)

    def measure(self, name: str, only: str = "") -> str:
        """A measure, finished."""
        measure = OF_EVENTS[name]
        if name == NEW:
            measure = measure._replace(condition=is_first(self.question, self.values))
        return _aggregate(measure, only)

    def covered(self, covers: Sequence[Cover]) -> str:
        """Whether an event is one that the covers are about."""
        return any_of(
            *(
                f"site_id IN {self.values.add(list(cover.sites), 'Array(String)')}"
                f" AND occurred_at >= {self.values.time(cover.start)}"
                f" AND occurred_at < {self.values.time(cover.end)}"
                for cover in covers
            )
        )

    def unsliced(self, rollup: RollupSource) -> str:
        """Whether an event is not in any published build."""
        return position_sql.above(rollup.watermarks, self.values, also=rollup.late)

    def _source(self) -> str:
        """The events, with the pages with which their visit began or ended where the question is about them.

        While visits are told apart a page is a hash, and the order of views one number: the visits of
        a large site fit into memory then.
        """
        if not self._visits:
            return "events"
        keys = named("session_id", "site_id")
        where = [*self.base(), "session_id != 0"]
        hashes = {f"hash_{name}": PAGE_OF[name].sql("cityHash64({})") for name in self._visits}
        visits = Select(keys | hashes, "events", where, tuple(keys)).inner("visits")
        for name in self._visits:
            page = PAGE_OF[name]
            of_hash = Select(
                {
                    f"hash_{name}": f"cityHash64({page.column})",
                    f"page_{name}": f"toLowCardinality(any({page.column}))",
                },
                "events",
                [*where, page.condition],
                [f"hash_{name}"],
            )
            visits += f" LEFT JOIN {of_hash.inner(f'of_{name}')} USING (hash_{name})"
        pages = named(*(f"page_{name}" for name in self._visits))
        # Events without such a visit stay: unknown text is "", as everywhere.
        return f"events LEFT JOIN {Select(keys | pages, visits).inner('visit')} USING (session_id, site_id)"

    def _who(self, done: HasDone | InOrder) -> str:
        """A SELECT of the visitors or visits that have done it."""
        key, conditions = key_of(done), Conditions(self.values, self.field, self._who)
        base = [*self.base(), f"{key} != 0"]
        if isinstance(done, HasDone):
            return str(Select(named(key), "events", [*base, f"({conditions.sql(done.part)})"]))
        steps = {f"step{number}": conditions.sql(step) for number, step in enumerate(done.steps)}
        within = self.values.add(done.within, "Int64") if done.within else ""
        return str(in_order(key, base, steps, within))


def merged_measure(name: str, only: str = "") -> str:
    """A measure, merged from the rows of `union` and finished."""
    measure = MEASURES[name]
    if not measure.state:
        return f"sumIf({name}, {only})" if only else f"sum({name})"
    if only:
        return f"{measure.combined('MergeIf')}({name}, {only})"
    return f"{measure.combined('Merge')}({name})"


def union(events: Events, rollup: RollupSource, measures: Sequence[str]) -> str:
    """What follows FROM: rows with d0, d1, ..., KEYS and these measures, to be merged."""
    covered = events.covered(rollup.covers)
    parts = [
        _from_rollups(events, rollup, measures),
        _from_events(events, measures, covered, events.unsliced(rollup)),
    ]
    if rollup.edges:
        parts.append(_from_events(events, measures, f"NOT {covered}"))
    return UnionAll(parts).inner()


def union_kept(events: Events, measures: Sequence[str]) -> str:
    """As `union`, of the events and of what is kept of deleted visits; `visits`: how many of those."""

    def outputs(dimensions: Sequence[str]) -> Mapping[str, str]:
        figures = {name: _NO_SESSIONS if name == "sessions" else name for name in measures}
        keys = {"event_type": "toLowCardinality('')", "is_bot": "is_bot"}
        return _numbered(dimensions) | keys | figures | named("visits")

    of_events = _from_events(events, measures, visits="0")
    return UnionAll([events.kept_visits(outputs), of_events]).inner()


def merged_with_visits(name: str, only: str = "") -> str:
    """A measure, merged from the rows of `union_kept` and finished. Visits that are gone are added up."""
    merged = merged_measure(name, only)
    return f"{merged} + sum(visits)" if name == "sessions" else merged


def _from_rollups(events: Events, rollup: RollupSource, measures: Sequence[str]) -> Select:
    question, add = events.question, events.values.add
    columns = columns_of(rollup.cube)

    def field(name: str) -> str:
        column = columns.get(name, name)
        return f"toUInt32OrZero({column})" if name == "asn" else column

    dimensions = _dimensions(question, field, _AT, events.values)
    conditions = [
        f"workspace_id = {add(question.workspace_id, 'String')}",
        f"cube = {add(rollup.cube.name, 'String')}",
        f"build IN {add(sorted({build for _, build in rollup.builds}), 'Array(UInt64)')}",
        f"(toYYYYMM(at), build) IN {add(list(rollup.builds), 'Array(Tuple(UInt32, UInt64))')}",
        _begins_in(rollup.covers, events.values),
        *_bots(only=events.bots),
        events.condition(field),
    ]
    outputs = named(*KEYS, *measures)
    return Select(_numbered(dimensions) | outputs, "rollups", conditions)


def _from_events(events: Events, measures: Sequence[str], *more: str, visits: str | None = None) -> Select:
    dimensions = _numbered(events.dimensions())
    outputs = named(*KEYS) | {name: _state(MEASURES[name]) for name in measures}
    if visits is not None:
        outputs["visits"] = visits
    return events.select(dimensions | outputs, *more, group_by=(*dimensions, *KEYS))


def _numbered(dimensions: Sequence[str]) -> dict[str, str]:
    return {f"d{number}": sql for number, sql in enumerate(dimensions)}


def _dimensions(
    question: Question, field: Callable[[str], str], milliseconds: str, values: Values
) -> list[str]:
    def sql(name: str) -> str:
        if name == TIME:
            return f"roundDown({milliseconds}, {values.add(list(question.buckets), 'Array(Int64)')})"
        if name in CLOCKS:
            return _clock(name, question.clocks[name], milliseconds, values)
        if name in _SEVERAL:
            return f"arrayJoin({_several(name, question, field, values)})"
        return dimension_sql(name, field, values)

    return [sql(name) for name in question.dimensions]


def _clock(name: str, clock: Sequence[tuple[int, int]], milliseconds: str, values: Values) -> str:
    """What a clock shows that is put forward or back now and then."""
    starts = values.add([start for start, _ in clock], "Array(Int64)")
    ahead = values.add([ahead + _SINCE_MONDAY for _, ahead in clock], "Array(Int64)")
    number = f"indexOf({starts}, roundDown({milliseconds}, {starts}))" if len(clock) > 1 else "1"
    shown = f"({milliseconds} + {ahead}[{number}])"
    if name == WEEKDAY:
        return f"toUInt8(intDiv({shown}, {_DAY}) % 7 + 1)"
    return f"toUInt8(intDiv({shown} % {_DAY}, {HOUR_MS}))"


def _several(name: str, question: Question, field: Callable[[str], str], values: Values) -> str:
    """The values of a dimension of which an event may have several: tags of its link, goals it reaches."""
    if name == TAG:
        tags = values.add(list(question.tags), "Array(String)")
        links = values.add([list(links) for links in question.tags.values()], "Array(Array(String))")
        return f"arrayFilter((tag, links) -> has(links, {field('link_id')}), {tags}, {links})"
    names = values.add(list(question.goals), "Array(String)")
    conditions = Conditions(values, field, _nobody)
    reached = ", ".join(conditions.sql(goal) for goal in question.goals.values())
    return f"arrayFilter((goal, reached) -> reached, {names}, CAST([{reached}], 'Array(UInt8)'))"


def _nobody(_: HasDone | InOrder) -> str:
    raise AssertionError("a goal asks nothing of what else a visitor did")


def _begins_in(covers: Sequence[Cover], values: Values) -> str:
    """Whether a row's bucket is one that the covers are about."""
    return any_of(
        *(
            f"site_id IN {values.add(list(cover.sites), 'Array(String)')}"
            f" AND at >= toDateTime({values.add(cover.start // 1000, 'Int64')}, 'UTC')"
            f" AND at < toDateTime({values.add(cover.end // 1000, 'Int64')}, 'UTC')"
            for cover in covers
        )
    )


def _bots(*, only: bool | None) -> list[str]:
    return [] if only is None else ["is_bot" if only else "NOT is_bot"]


def _aggregate(measure: Measure, only: str = "", suffix: str = "") -> str:
    conditions = " AND ".join(f"({part})" for part in (measure.condition, only) if part)
    if not conditions:
        return f"{measure.combined(suffix)}({measure.arguments})"
    arguments = ", ".join(part for part in (measure.arguments, conditions) if part)
    return f"{measure.combined(suffix, 'If')}({arguments})"


def _state(measure: Measure) -> str:
    return _aggregate(measure, suffix="State" if measure.state else "")
