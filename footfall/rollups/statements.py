"""The statements that make rollups of events, and one build of several.

What a slice needs of its events is copied to a stage first: the log's positions are
looked for once, not once for each cube, and the same for the zones of sites.
"""
# ruff: noqa: S608 -- the statements are put together from the lists of model.rollups; values are parameters

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from footfall.model.calendar import LONGEST_DAY, days, month_end, month_start
from footfall.model.columns import BY_NAME
from footfall.model.cubes import CUBES, KEYS, MEASURES, ONLY, VALUES, Cube, Measure, columns_of, field_text
from footfall.model.times import HOUR_MS
from footfall.rollups.rows import Span, rows_of
from footfall.state.rollups.manifest import Building, Zone
from footfall.store import server_sql
from footfall.store.statement import Statement

STAGE = "rollup_stage"

FEW = 50_000
"""Rows of events of which several cubes are made by one statement."""

_NOTHING = "toLowCardinality('')"

_MS = "toUnixTimestamp64Milli(occurred_at)"
_ARGUMENT = re.compile(r"AggregateFunction\(\w+(?:\([^)]*\))?, (.*)\)", re.DOTALL)


def stage(rows: Statement, zones: Mapping[str, Zone], spans: Mapping[str, Span]) -> Statement:
    """Copy what all cubes need of these rows to STAGE. `zones` and `spans`: of every site in them."""
    at, values = buckets(zones, spans)
    columns = {"hour": at["hour"], "day": at["day"]} | {key: key for key in KEYS} | _staged()
    outputs = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    text = f"SELECT {outputs} FROM events WHERE {rows.sql}"
    return server_sql.stage(STAGE, text, {**rows.parameters, **values})


def unstage() -> Statement:
    """Drop the stage, if it is there."""
    return server_sql.unstage(STAGE)


def aggregates(rows: int, build: int, month: int = 0) -> Iterator[Statement]:
    """The rows of all cubes, from the stage, which has so many; only of `month` (YYYYMM) if one is given.

    Few rows take few statements: each makes a part, and waits for the disk. Many take one for each
    cube, so that only one is held in memory.
    """
    alike: dict[tuple[str, ...], list[Cube]] = {}
    for cube in CUBES:
        key = cube.measures if rows <= FEW else (cube.name,)
        alike.setdefault(key, []).append(cube)
    return (_aggregate(some, build, month) for some in alike.values())


def _aggregate(some: Sequence[Cube], build: int, month: int) -> Statement:
    """The rows of cubes that have the same measures."""
    names = (*KEYS, "at", "link_id", *VALUES, *some[0].measures)
    selects: list[str] = []
    for number, cube in enumerate(some):
        held = {column: field for field, column in columns_of(cube).items()}
        # By position: an alias link_id would hide the column from the measures.
        values = [held.get(column, _NOTHING) for column in ("link_id", *VALUES)]
        figures = [f"{_of_stage(MEASURES[name])} AS m_{name}" for name in cube.measures]
        where = ONLY[cube.only] + (f" AND toYYYYMM({cube.grain}) = {{month:UInt32}}" if month else "")
        keys = (*KEYS, cube.grain, *columns_of(cube))
        outputs = (f"{{cube_{number}:String}}", *KEYS, f"{cube.grain} AS at", *values, *figures)
        selects.append(
            f"SELECT {{build:UInt64}}, {', '.join(outputs)} FROM {STAGE}"
            f" WHERE {where} GROUP BY {', '.join(keys)}"
        )
    return Statement(
        f"INSERT INTO rollups (build, cube, {', '.join(names)}) {' UNION ALL '.join(selects)}",
        {"build": build, "month": month} | {f"cube_{number}": cube.name for number, cube in enumerate(some)},
    )


def runs(buckets: Sequence[tuple[int, int]], most: int) -> Iterator[tuple[int, int, int]]:
    """The first and the last bucket of runs that have at most so much, and how much that is.

    `buckets`: when each begins, and what it has; one that has more is a run of its own.
    """
    run: list[int] = []
    held = 0
    for at, size in buckets:
        if run and held + size > most:
            yield run[0], run[-1], held
            run, held = [], 0
        run.append(at)
        held += size
    if run:
        yield run[0], run[-1], held


def buckets(zones: Mapping[str, Zone], spans: Mapping[str, Span]) -> tuple[dict[str, str], dict[str, Any]]:
    """SQL over events for when the bucket of one begins, by grain, in its site's zone; and its values."""
    names = sorted({zone.timezone for zone in zones.values()})
    by_zone = {name: [site for site in zones if zones[site].timezone == name] for name in names}
    values: dict[str, Any] = {
        "sites": [site for name in names for site in by_zone[name]],
        "zones": [number for number, name in enumerate(names) for _ in by_zone[name]],
        "steps": [zones[site].step for name in names for site in by_zone[name]],
    }
    starts: list[str] = []
    for number, name in enumerate(names):
        first = min(spans[site].first for site in by_zone[name])
        last = max(spans[site].last for site in by_zone[name])
        values[f"days_{number}"] = [max(at, 0) for at in days(first, last, ZoneInfo(name))]
        starts.append(f"roundDown({_MS}, {{days_{number}:Array(Int64)}})")
    zone = "transform(toString(site_id), {sites:Array(String)}, {zones:Array(UInt16)}, toUInt16(0))"
    branches = [part for number, start in enumerate(starts[1:], 1) for part in (f"{zone} = {number}", start)]
    day = f"multiIf({', '.join([*branches, starts[0]])})" if branches else starts[0]
    step = (
        f"transform(toString(site_id), {{sites:Array(String)}}, {{steps:Array(Int64)}}, toInt64({HOUR_MS}))"
    )
    hour = f"{_MS} - {_MS} % {step}"
    return {
        "hour": f"toDateTime(intDiv({hour}, 1000), 'UTC')",
        "day": f"toDateTime(intDiv({day}, 1000), 'UTC')",
    }, values


@cache
def _staged() -> dict[str, str]:
    """Columns of the stage beside keys and times: the cubes' fields, and what the measures need."""
    fields = dict.fromkeys(field for cube in CUBES for field in cube.fields)
    columns = {field: _field(field) for field in fields}
    for name in dict.fromkeys(name for cube in CUBES for name in cube.measures):
        measure = MEASURES[name]
        for column, sql in _inputs(measure):
            if column != sql or column not in columns:
                columns[column] = sql
    return columns


def _field(field: str) -> str:
    sql = field_text(field)
    if sql == field and BY_NAME[field].type.startswith("LowCardinality"):
        return sql
    only = {ONLY[cube.only] for cube in CUBES if field in cube.fields}
    if "properties" in sql and ONLY[""] not in only:  # they are parsed only where a cube has them
        sql = f"if({' OR '.join(sorted(only))}, {sql}, '')"
    return f"toLowCardinality({sql})"


def _inputs(measure: Measure) -> Iterator[tuple[str, str]]:
    """What a measure needs of the stage: columns with their SQL over events. See `_of_stage`."""
    if measure.condition:
        yield f"if_{measure.name}", f"if({measure.condition}, toUInt8(1), toUInt8(0))"
    if measure.arguments in BY_NAME:
        yield measure.arguments, measure.arguments
    elif measure.arguments:
        found = _ARGUMENT.fullmatch(measure.type)
        if "properties" in measure.arguments and measure.condition and found:
            yield (
                f"of_{measure.name}",
                f"if({measure.condition}, {measure.arguments}, defaultValueOfTypeName('{found[1]}'))",
            )
        else:
            yield f"of_{measure.name}", measure.arguments


def _of_stage(measure: Measure) -> str:
    arguments = measure.arguments if measure.arguments in BY_NAME else f"of_{measure.name}"
    given = [arguments] if measure.arguments else []
    condition = [f"if_{measure.name}"] if measure.condition else []
    function = measure.combined("State" if measure.state else "", "If" if condition else "")
    return f"{function}({', '.join(given + condition)})"


def sites_of(rows: Statement) -> Statement:
    """The sites of these rows, with how many there are and when they occurred."""
    return Statement(
        f"SELECT site_id, count(), min({_MS}), max({_MS}) FROM events WHERE {rows.sql} GROUP BY site_id",
        rows.parameters,
    )


def count_of(parts: Sequence[Any]) -> Statement:
    """How many rows a slice of these parts would have."""
    rows = rows_of(Building(0, "slice", tuple(parts)))
    return Statement(f"SELECT count() FROM events WHERE {rows.sql}", rows.parameters)


def hours_of(building: Building) -> Statement:
    """When events of a rebuild occurred: hours (ms) in order, and how many; also hours after the month."""
    rows = rows_of(building, Span(month_start(building.month), month_end(building.month) + LONGEST_DAY))
    return Statement(
        f"SELECT intDiv({_MS}, {HOUR_MS}) * {HOUR_MS} AS hour, count() FROM events WHERE {rows.sql}"
        " GROUP BY hour ORDER BY hour",
        rows.parameters,
    )


def partitions_of(build: int) -> Statement:
    """What the store has of a build: month, rows, and the first and last bucket (ms)."""
    return Statement(
        "SELECT toYYYYMM(at) AS month, count(), toInt64(toUnixTimestamp(min(at))) * 1000,"
        " toInt64(toUnixTimestamp(max(at))) * 1000 FROM rollups WHERE build = {build:UInt64}"
        " GROUP BY month ORDER BY month",
        {"build": build},
    )
