"""The only place that makes SELECTs about events.

The text of a statement is put together from the lists of fields, metrics and measures, never
from what a caller sent: that travels as server-side parameters. Every SELECT from a table
begins with the workspace and the range.
"""

from collections.abc import Mapping, Sequence

from footfall.model.columns import SHOWN_AS
from footfall.model.session_fields import FACTS
from footfall.query.catalog.metrics import KNOWN_METRICS, Measured, Metric, Unit, measures_of
from footfall.query.language.question import Question
from footfall.query.plan.parts import PlanPart
from footfall.query.sql.cursor import Cursor
from footfall.query.sql.sources import Events, merged_measure, merged_with_visits, union, union_kept
from footfall.store.statement import Statement, Values

EXTRA = ("unidentified", "known_for_a_day", "sampled")
"""Measures that `select` gives of all groups together, after the number of groups."""

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
    """Rows of the dimensions and metrics asked for, and of 1 + len(EXTRA) columns, equal in every row.

    Those say of all groups, also of those beyond the limit: how many there are, how many
    events have no visitor, how many have one that is known for a day only, and how many stand
    for more or less than one. `parts`: what each metric comes from; without any, the events.
    """
    values = Values()
    groups = [
        _groups(question, part, values) for part in parts or (PlanPart(question.metrics, "no_rollups"),)
    ]
    relation = groups[0] if len(groups) == 1 else _together(question, parts, groups)
    return Statement(_page(question, f"({relation}) AS a"), values.parameters)


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
    text = (
        f"SELECT {', '.join(SHOWN_AS.get(name, name) for name in columns)} FROM {events.relation(*more)} "
        f"ORDER BY occurred_at DESC, seq DESC, shard DESC LIMIT {question.limit:d} OFFSET {question.offset:d}"
    )
    return Statement(text, events.values.parameters)


def extent(question: Question, received_until: int | None = None) -> Statement:
    """How many events there are, how many are sampled, and when the last was received (ms)."""
    events = Events(question, Values())
    more = [] if received_until is None else [_received(events, received_until)]
    return Statement(
        f"SELECT count(), {events.measure('sampled')}, max(toUnixTimestamp64Milli(received_at))"
        f" FROM {events.relation(*more)}",
        events.values.parameters,
    )


def property_names(question: Question) -> Statement:
    """The names of properties with events, visitors and different values of each, then how many there are."""
    events = Events(question, Values())
    pairs = (
        "SELECT arrayJoin(JSONExtractKeysAndValuesRaw(properties)) AS pair, sample_weight, visitor_id"
        f" FROM {events.relation()}"
    )
    return Statement(
        f"SELECT pair.1 AS name, toUInt64(round({events.measure('events')})) AS events,"
        f" {events.measure('visitors')} AS visitors, uniqCombined(17)(pair.2) AS different, count() OVER ()"
        f" FROM ({pairs}) GROUP BY name ORDER BY events DESC, name"
        f" LIMIT {question.limit:d} OFFSET {question.offset:d}",
        events.values.parameters,
    )


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


def _page(question: Question, relation: str) -> str:
    """The rows of the page, in order."""
    names = (*question.dimensions, *question.metrics)
    columns = [f"a.g{number}" for number in range(len(question.dimensions))]
    columns += [f"a.m{number}" for number in range(len(question.metrics))]
    keys: list[str] = []
    for name in question.order_by:
        place = names.index(name.removeprefix("-"))
        money = (
            name.removeprefix("-") in KNOWN_METRICS and KNOWN_METRICS[name.removeprefix("-")].unit == "money"
        )
        key = f"arraySum(mapValues({columns[place]}))" if money else columns[place]
        keys.append(f"{key} DESC" if name.startswith("-") else key)
    totals = [f"sum(a.x{number}) OVER ()" for number in range(len(EXTRA))]
    return (
        f"SELECT {', '.join([*columns, 'count() OVER ()', *totals])} FROM {relation}"
        f"{' ORDER BY ' + ', '.join(keys) if keys else ''}"
        f" LIMIT {question.limit:d} OFFSET {question.offset:d}"
    )


def _groups(question: Question, part: PlanPart, values: Values) -> str:
    """All groups of a part: g0, g1, ... are the dimensions, m0, m1, ... its metrics by their place among all.

    x0, x1, ... are EXTRA.
    """
    metrics = {question.metrics.index(name): KNOWN_METRICS[name] for name in part.metrics}
    split_bots = question.bots is False and any(metric.whatever_bots for metric in metrics.values())
    alone = part.kept if part.kept and part.kept.alone else None
    events = Events(question, values, whatever_bots=split_bots, kept=alone)
    if part.rollup is None and alone is None:
        dimensions, measured, relation = events.dimensions(), events.measure, events.relation()
    else:
        used = (name for metric in metrics.values() for name in measures_of(metric))
        needed = tuple(dict.fromkeys([*used, *EXTRA]))
        dimensions = [f"d{number}" for number in range(len(question.dimensions))]
        if part.rollup:
            measured, relation = merged_measure, union(events, part.rollup, needed)
        else:
            measured, relation = merged_with_visits, union_kept(events, needed)
    of_humans = _of_no_bots(measured) if split_bots else measured
    figures = [
        f"{metric.sql(measured if metric.whatever_bots else of_humans)} AS m{number}"
        for number, metric in metrics.items()
        if metric.sql
    ]
    names = [f"g{number}" for number in range(len(dimensions))]
    outputs = [f"{sql} AS {name}" for sql, name in zip(dimensions, names, strict=True)]
    extra = [f"{of_humans(name)} AS x{number}" for number, name in enumerate(EXTRA)]
    main = f"SELECT {', '.join([*outputs, *figures, *extra])} FROM {relation}{_group_by(names)}"
    return _with_visits(main, metrics, Events(question, values, kept=part.kept), names)


def _together(question: Question, parts: Sequence[PlanPart], groups: Sequence[str]) -> str:
    """The groups of all parts. Where a part has no such group, its metrics are what they are of no events."""
    names = [f"g{number}" for number in range(len(question.dimensions))]
    extra = [f"x{number}" for number in range(len(EXTRA))]
    part_of = {name: number for number, part in enumerate(parts) for name in part.metrics}
    selects: list[str] = []
    for number, relation in enumerate(groups):
        figures = [
            f"m{place}" if part_of[name] == number else f"{_NOTHING[KNOWN_METRICS[name].unit]} AS m{place}"
            for place, name in enumerate(question.metrics)
        ]
        selects.append(
            f"SELECT {', '.join([*names, *figures, *extra, f'{number} AS part'])} FROM ({relation})"
        )
    outputs = [f"u.{name} AS {name}" for name in names]
    outputs += [
        f"anyIf(u.m{place}, u.part = {part_of[name]}) AS m{place}"
        for place, name in enumerate(question.metrics)
    ]
    outputs += [f"max(u.{name}) AS {name}" for name in extra]
    by = _group_by([f"u.{name}" for name in names])
    return f"SELECT {', '.join(outputs)} FROM ({' UNION ALL '.join(selects)}) AS u{by}"


def _with_visits(main: str, metrics: Mapping[int, Metric], events: Events, groups: Sequence[str]) -> str:
    """The groups joined with the figures of whole visits, where a metric asks for them."""
    figures = [
        f"{metric.over_sessions} AS v{number}" for number, metric in metrics.items() if metric.over_sessions
    ]
    if not figures:
        return main
    # One pass over all events of the range: a visit is what it is, also where a question is about some
    # of its events; those only say to which groups it belongs.
    asked = events.condition(events.field)
    belongs = f"groupArrayArrayIf({events.group_keys()}, {asked})" if groups else f"countIf({asked})"
    facts = (
        f"SELECT {FACTS}, {belongs} AS belongs FROM {events.everything()} AND session_id != 0"
        f" GROUP BY session_id{', site_id' if 'site_id' in events.question.dimensions else ''}"
    )
    sums = "1 AS visits, toUInt64(events = 1) AS bounces, views, seconds"
    if groups:
        visits = f"SELECT {sums}, key FROM ({facts}) ARRAY JOIN arrayDistinct(belongs) AS key"
    else:
        visits = f"SELECT {sums}, 0 AS key FROM ({facts}) WHERE belongs > 0"
    if events.kept:
        visits += f" UNION ALL {events.kept_visits(_kept_sums)}"
    if groups:
        on = f"cityHash64({', '.join(f'e.{name}' for name in groups)}) = b.key"
        by_key = f"SELECT {', '.join(['key', *figures])} FROM ({visits}) GROUP BY key"
        joined = f"LEFT JOIN ({by_key}) AS b ON {on}"
    else:
        joined = f"CROSS JOIN (SELECT {', '.join(figures)} FROM ({visits})) AS b"
    columns = [f"e.{name} AS {name}" for name in groups]
    columns += [f"{'e.m' if each.sql else 'b.v'}{number} AS m{number}" for number, each in metrics.items()]
    columns += [f"e.x{number} AS x{number}" for number in range(len(EXTRA))]
    return f"SELECT {', '.join(columns)} FROM ({main}) AS e {joined}"


def _kept_sums(dimensions: Sequence[str]) -> str:
    key = f"cityHash64({', '.join(dimensions)})" if dimensions else "0"
    return f"visits, bounces, views, seconds, {key} AS key"


def _group_by(names: Sequence[str]) -> str:
    return f" GROUP BY {', '.join(names)}" if names else ""


def _of_no_bots(measured: Measured) -> Measured:
    def measure(name: str, only: str = "") -> str:
        return measured(name, f"({only}) AND NOT is_bot" if only else "NOT is_bot")

    return measure
