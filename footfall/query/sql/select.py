"""The only place that makes SELECTs about events.

The text of a statement is put together from the lists of fields, metrics and measures, never
from what a caller sent: that travels as server-side parameters. Every SELECT from a table
begins with the workspace and the range.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from footfall.model.columns import SHOWN_AS
from footfall.model.session_fields import FACTS
from footfall.query.catalog.measures import Measured
from footfall.query.catalog.metrics import KNOWN_METRICS, Metric, Unit, measures_of
from footfall.query.language.question import Question
from footfall.query.plan.parts import PlanPart
from footfall.query.sql.cursor import Cursor
from footfall.query.sql.node import Select, UnionAll, named
from footfall.query.sql.sources import Events, merged_measure, merged_with_visits, union, union_kept
from footfall.store.statement import Statement, Values


class Totals(NamedTuple):
    """What is said of all groups of an answer, also of those beyond the limit.

    How many there are, how many events have no visitor, how many have one that is known for a day only,
    and how many stand for more or less than one.
    """

    groups: int = 0
    unidentified: int = 0
    known_for_a_day: int = 0
    sampled: int = 0


_EXTRA = Totals._fields[1:]
"""Measures that every row of `select` has of all groups together."""

_EXTRA_PLACES = tuple(f"x{number}" for number in range(len(_EXTRA)))

_RATIO = "CAST(NULL AS Nullable(Float64))"
_NOTHING: Mapping[Unit, str] = {
    "count": "toUInt64(0)",
    "uniques": "toUInt64(0)",
    "ratio": _RATIO,
    "seconds": _RATIO,
    "number": _RATIO,
    "money": "CAST(map() AS Map(String, Int128))",
    "time": "CAST(NULL AS Nullable(Int64))",
}


def select(question: Question, parts: Sequence[PlanPart] = ()) -> Statement:
    """Rows of the dimensions and metrics asked for, and of Totals, which are equal in every row: see `split`.

    `parts`: what each metric comes from; without any, the events.
    """
    values = Values()
    groups = [
        _groups(question, part, values) for part in parts or (PlanPart(question.metrics, "no_rollups"),)
    ]
    relation = groups[0] if len(groups) == 1 else _together(question, parts, groups)
    return Statement(str(_page(question, relation)), values.parameters)


def split(rows: Sequence[Sequence[Any]]) -> tuple[Sequence[tuple[Any, ...]], Totals]:
    """The rows of `select` as they were asked for, and the Totals; without rows those are nothing."""
    if not rows:
        return (), Totals()
    extra = len(Totals._fields)
    return [tuple(row[:-extra]) for row in rows], Totals(*rows[0][-extra:])


def listing(
    question: Question, columns: Sequence[str], after: Cursor | None = None, since: int | None = None
) -> Statement:
    """Events as they are, newest first, in a stable order; `properties` as JSON text.

    `after`: only those that come behind this place and were received by then. `since`: only those
    that occurred then (ms) or later.
    """
    events = Events(question, Values())
    more: list[str] = []
    if since is not None:
        more = [f"occurred_at >= {events.values.time(since)}"]
    if after:
        place = ", ".join(
            events.values.add(value, kind)
            for value, kind in ((after.occurred_at, "Int64"), (after.seq, "UInt64"), (after.shard, "UInt64"))
        )
        more += [
            f"occurred_at <= {events.values.time(after.occurred_at)}",  # the primary key knows this one
            f"(toUnixTimestamp64Milli(occurred_at), seq, shard) < ({place})",
            _received(events, after.received_until),
        ]
    text = events.select(
        {f"c{number}": SHOWN_AS.get(name, name) for number, name in enumerate(columns)},
        *more,
        order_by=("occurred_at DESC", "seq DESC", "shard DESC"),
        limit=question.limit,
        offset=question.offset,
    )
    return Statement(str(text), events.values.parameters)


def extent(question: Question, received_until: int | None = None) -> Statement:
    """How many events there are, how many are sampled, and when the last was received (ms)."""
    events = Events(question, Values())
    more = [] if received_until is None else [_received(events, received_until)]
    newest = "max(toUnixTimestamp64Milli(received_at))"
    columns = {"events": "count()", "some": events.measure("sampled"), "newest": newest}
    return Statement(str(events.select(columns, *more)), events.values.parameters)


def property_names(question: Question) -> Statement:
    """The names of properties with events, visitors and different values of each, then how many there are."""
    events = Events(question, Values())
    pair = "arrayJoin(JSONExtractKeysAndValuesRaw(properties))"
    pairs = events.select({"pair": pair} | named("sample_weight", "visitor_id"))
    text = Select(
        {
            "name": "pair.1",
            "events": f"toUInt64(round({events.measure('events')}))",
            "visitors": events.measure("visitors"),
            "different": "uniqCombined(17)(pair.2)",
            "names": "count() OVER ()",
        },
        pairs.inner(),
        group_by=["name"],
        order_by=["events DESC", "name"],
        limit=question.limit,
        offset=question.offset,
    )
    return Statement(str(text), events.values.parameters)


def _received(events: Events, until: int) -> str:
    return f"received_at <= {events.values.time(until)}"


def first_events(
    workspace_id: str, before: int | None = None, sites: Sequence[str] | None = None
) -> tuple[Statement, Statement]:
    """When the first of a workspace's events occurred (ms) and how many there are; the same of rollups.

    `sites`: of these only; None for all.

    `before` (ms): of those only that occurred, or whose rollups begin, before.
    """
    values = Values()
    of_events = of_rollups = f"workspace_id = {values.add(workspace_id, 'String')}"
    if sites is not None:
        of_events = of_rollups = f"{of_events} AND site_id IN {values.add(list(sites), 'Array(String)')}"
    if before is not None:
        at = values.time(before)
        of_events += f" AND occurred_at < {at}"
        of_rollups += f" AND at < {at}"
    return (
        Statement(
            f"SELECT toUnixTimestamp64Milli(min(occurred_at)), count() FROM events WHERE {of_events}",
            values.parameters,
        ),
        Statement(
            f"SELECT toInt64(toUnixTimestamp(min(at))) * 1000, count() FROM rollups WHERE {of_rollups}",
            values.parameters,
        ),
    )


def upgraded() -> Statement:
    """When the rows got the facts of their visits (ms); 0 where they had them from the first."""
    return Statement(
        "SELECT if(dateDiff('minute', min(applied_at), maxIf(applied_at, name = '0005_entry')) < 5, 0,"
        " toUnixTimestamp64Milli(maxIf(applied_at, name = '0005_entry'))) FROM schema_migrations",
        {},
    )


def _page(question: Question, groups: Select) -> Select:
    """The rows of the page, in order."""
    # By their places: two names may stand for the same dimension.
    columns = {f"g{number}": f"a.g{number}" for number in range(len(question.dimensions))}
    columns |= {f"m{number}": f"a.m{number}" for number in range(len(question.metrics))}
    of_name = dict(zip((*question.dimensions, *question.metrics), columns.values(), strict=True))
    keys: list[str] = []
    for name in question.order_by:
        bare = name.removeprefix("-")
        money = bare in KNOWN_METRICS and KNOWN_METRICS[bare].unit == "money"
        key = f"arraySum(mapValues({of_name[bare]}))" if money else of_name[bare]
        keys.append(f"{key} DESC" if name.startswith("-") else key)
    totals = {name: f"sum(a.{place}) OVER ()" for name, place in zip(_EXTRA, _EXTRA_PLACES, strict=True)}
    return Select(
        columns | {"groups": "count() OVER ()"} | totals,
        groups.inner("a"),
        order_by=keys,
        limit=question.limit,
        offset=question.offset,
    )


def _groups(question: Question, part: PlanPart, values: Values) -> Select:
    """All groups of a part: g0, g1, ... are the dimensions, m0, m1, ... its metrics by their place among all.

    x0, x1, ... are _EXTRA.
    """
    metrics = {question.metrics.index(name): KNOWN_METRICS[name] for name in part.metrics}
    split_bots = question.bots is False and any(metric.whatever_bots for metric in metrics.values())
    alone = part.kept if part.kept and part.kept.alone else None
    events = Events(question, values, whatever_bots=split_bots, kept=alone)
    used = (name for metric in metrics.values() for name in measures_of(metric))
    needed = tuple(dict.fromkeys([*used, *_EXTRA]))
    measured = merged_measure
    if part.rollup:
        source = union(events, part.rollup, needed)
    elif alone:
        measured, source = merged_with_visits, union_kept(events, needed)
    else:
        measured, source = events.measure, None
    of_humans = _of_no_bots(measured) if split_bots else measured
    figures = {
        f"m{number}": metric.sql(measured if metric.whatever_bots else of_humans)
        for number, metric in metrics.items()
        if metric.sql
    }
    extra = {place: of_humans(name) for place, name in zip(_EXTRA_PLACES, _EXTRA, strict=True)}
    names = [f"g{number}" for number in range(len(question.dimensions))]
    if source is None:
        columns = dict(zip(names, events.dimensions(), strict=True))
        main = events.select(columns | figures | extra, group_by=names)
    else:
        columns = {name: f"d{number}" for number, name in enumerate(names)}
        main = Select(columns | figures | extra, source, group_by=names)
    return _with_visits(main, metrics, Events(question, values, kept=part.kept), names)


def _together(question: Question, parts: Sequence[PlanPart], groups: Sequence[Select]) -> Select:
    """The groups of all parts. Where a part has no such group, its metrics are what they are of no events."""
    names = [f"g{number}" for number in range(len(question.dimensions))]
    part_of = {name: number for number, part in enumerate(parts) for name in part.metrics}
    same = named(*names, *_EXTRA_PLACES)
    selects: list[Select] = []
    for number, each in enumerate(groups):
        figures = {
            f"m{place}": f"m{place}" if part_of[name] == number else _NOTHING[KNOWN_METRICS[name].unit]
            for place, name in enumerate(question.metrics)
        }
        selects.append(Select(same | figures | {"part": str(number)}, each.inner()))
    outputs = {name: f"u.{name}" for name in names}
    outputs |= {
        f"m{place}": f"anyIf(u.m{place}, u.part = {part_of[name]})"
        for place, name in enumerate(question.metrics)
    }
    outputs |= {place: f"max(u.{place})" for place in _EXTRA_PLACES}
    return Select(outputs, UnionAll(selects).inner("u"), group_by=[f"u.{name}" for name in names])


def _with_visits(
    main: Select, metrics: Mapping[int, Metric], events: Events, groups: Sequence[str]
) -> Select:
    """The groups joined with the figures of whole visits, where a metric asks for them."""
    figures = {f"v{number}": each.over_sessions for number, each in metrics.items() if each.over_sessions}
    if not figures:
        return main
    # One pass over all events of the range: a visit is what it is, also where a question is about some
    # of its events; those only say to which groups it belongs.
    asked = events.condition(events.field)
    belongs = f"groupArrayArrayIf({events.group_keys()}, {asked})" if groups else f"countIf({asked})"
    visit = ["session_id", *(["site_id"] if "site_id" in events.question.dimensions else [])]
    facts = events.select_everything(FACTS | {"belongs": belongs}, "session_id != 0", group_by=visit)
    sums = {"visits": "1", "bounces": "toUInt64(events = 1)"} | named("views", "seconds")
    if groups:
        visits = Select(sums | named("key"), f"{facts.inner()} ARRAY JOIN arrayDistinct(belongs) AS key")
    else:
        visits = Select(sums | {"key": "0"}, facts.inner(), ["belongs > 0"])
    every = [visits, *([events.kept_visits(_kept_sums)] if events.kept else [])]
    source = UnionAll(every).inner()
    if groups:
        on = f"cityHash64({', '.join(f'e.{name}' for name in groups)}) = b.key"
        by_key = Select(named("key") | figures, source, group_by=["key"])
        joined = f"LEFT JOIN {by_key.inner('b')} ON {on}"
    else:
        joined = f"CROSS JOIN {Select(figures, source).inner('b')}"
    columns = {name: f"e.{name}" for name in groups}
    columns |= {f"m{number}": f"{'e.m' if each.sql else 'b.v'}{number}" for number, each in metrics.items()}
    columns |= {place: f"e.{place}" for place in _EXTRA_PLACES}
    return Select(columns, f"{main.inner('e')} {joined}")


def _kept_sums(dimensions: Sequence[str]) -> Mapping[str, str]:
    key = f"cityHash64({', '.join(dimensions)})" if dimensions else "0"
    return named("visits", "bounces", "views", "seconds") | {"key": key}


def _of_no_bots(measured: Measured) -> Measured:
    def measure(name: str, only: str = "") -> str:
        return measured(name, f"({only}) AND NOT is_bot" if only else "NOT is_bot")

    return measure
