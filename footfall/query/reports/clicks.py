"""The events themselves."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta as Words

from footfall.enrich.countries import country_names
from footfall.errors import Invalid
from footfall.model.calendar import instant
from footfall.model.columns import COLUMNS, Column
from footfall.query.engine import QueryResult
from footfall.query.language.params import ListParams
from footfall.query.language.question import Question
from footfall.query.reporting.report import Answer, Context, Report
from footfall.query.sql.cursor import LONGEST, Cursor, digest_of, read_cursor, write_cursor
from footfall.query.sql.first_clicks import ClickKey, click_key


class Shown(NamedTuple):
    """How a column is shown: its type in the answer, and its value in a zone."""

    type: Any
    value: Callable[[Any, ZoneInfo], Any]


def _as_is(value: Any, _zone: ZoneInfo) -> Any:
    return value


def _time(value: datetime, zone: ZoneInfo) -> str:
    return value.astimezone(zone).isoformat(timespec="milliseconds")


def _uuid(value: UUID, _zone: ZoneInfo) -> str:
    return str(value)


def _hex(value: int, _zone: ZoneInfo) -> str:
    # 64 bits do not fit into a number of JavaScript.
    return f"{value:016x}"


def _float(value: float, _zone: ZoneInfo) -> float | None:
    # Seven digits are what 32 bits hold: 52.52, not 52.52000045776367. What is unknown equals nothing.
    return None if math.isnan(value) else float(f"{value:.7g}")


def _object(value: str, _zone: ZoneInfo) -> dict[str, Any]:
    return msgspec.json.decode(value, type=dict[str, Any]) if value else {}


_SHOWN: dict[str, Shown] = {
    "UUID": Shown(str, _uuid),
    "UInt64": Shown(str, _hex),
    "UInt16": Shown(int, _as_is),
    "UInt32": Shown(int, _as_is),
    "Float32": Shown(float, _float),
    "Bool": Shown(bool, _as_is),
    "String": Shown(str, _as_is),
    "LowCardinality(String)": Shown(str, _as_is),
    "DateTime64(3, 'UTC')": Shown(str, _time),
    "JSON": Shown(dict[str, Any], _object),
}


def _type(column: Column) -> Any:
    shown = _SHOWN[column.type].type
    return shown if column.unknown is None else shown | None


_COLUMNS: dict[str, Column] = {
    column.name: column for column in COLUMNS if column.role not in ("private", "position")
}
_VALUES = [_SHOWN[column.type].value for column in _COLUMNS.values()]
_UNKNOWN = [column.unknown for column in _COLUMNS.values()]

_POSITION = ("seq", "shard")
_OCCURRED, _TYPE, _VISITOR, _LINK = map(
    list(_COLUMNS).index, ("occurred_at", "event_type", "visitor_id", "link_id")
)

# What others call it, beside our names.
_BESIDE: tuple[tuple[str, Any], ...] = (
    ("timestamp", Annotated[str, Words(description="`occurred_at`.")]),
    ("country", Annotated[str, Words(description='English name of `country_code`; "" when unknown.')]),
    ("referer", Annotated[str, Words(description="`referrer`.")]),
    ("referer_host", Annotated[str, Words(description="`referrer_host`.")]),
    (
        "is_unique",
        Annotated[bool, Words(description="The first click of this visitor on this link on this day (UTC).")],
    ),
    ("workspace_id", Annotated[str, Words(description="The workspace of the key.")]),
)

Event = msgspec.defstruct(
    "Event",
    [*((column.name, _type(column)) for column in _COLUMNS.values()), *_BESIDE],
    namespace={
        "__doc__": "An event with the columns of the envelope that are not private. Unknown text is "
        '"", all else that is unknown is null; ids of visitors and sessions are 16 hexadecimal digits.'
    },
    frozen=True,
)


def _event(row: Sequence[Any], zone: ZoneInfo, workspace_id: str, *, unique: bool) -> Any:
    values = dict(zip(_COLUMNS, row, strict=True))
    shown = [
        None if value == unknown else shown(value, zone)
        for value, unknown, shown in zip(row, _UNKNOWN, _VALUES, strict=True)
    ]
    code = values["country_code"]
    return Event(
        *shown,
        timestamp=_time(values["occurred_at"], zone),
        country=country_names().get(code, code),
        referer=values["referrer"],
        referer_host=values["referrer_host"],
        is_unique=unique,
        workspace_id=workspace_id,
    )


def _keys(rows: Sequence[Sequence[Any]]) -> list[ClickKey]:
    """Of the clicks among these events whose visitor is known."""
    return list({_key(row) for row in rows if _is_known_click(row)})


def _key(row: Sequence[Any]) -> ClickKey:
    return click_key(row[_VISITOR], row[_LINK], instant(row[_OCCURRED]))


def _is_known_click(row: Sequence[Any]) -> bool:
    return row[_TYPE] == "click" and row[_VISITOR] != 0


class ClicksParams(ListParams, frozen=True, kw_only=True):
    """A list of events."""

    cursor: (
        Annotated[
            str,
            Words(
                max_length=LONGEST,
                description="`meta.next_cursor` of the page before: pages do not move while events come in.",
            ),
        ]
        | None
    ) = None


async def _run(ctx: Context[ClicksParams]) -> Answer[list[Any]]:
    zone = ZoneInfo(ctx.period.timezone)
    limit, offset = ctx.params.limit, ctx.params.offset
    after = read_cursor(ctx.params.cursor, ctx.workspace_id) if ctx.params.cursor is not None else None
    if after and offset:
        raise Invalid("offset and cursor exclude each other", field="offset")
    everything = ctx.question()
    page = ctx.question(limit=limit + 1, offset=offset)  # one more shows whether there is a next page
    extent, rows = await asyncio.gather(
        _extent(ctx, everything, after),
        ctx.engine.events(page, (*_COLUMNS, *_POSITION), ctx.timeout, after),
    )
    found, until = extent
    found = found._replace(missing=await ctx.engine.gone(everything))
    following: str | None = None
    if len(rows) > limit:
        seq, shard = rows[limit - 1][-2:]
        at = instant(rows[limit - 1][_OCCURRED])
        last = Cursor(at, seq, shard, until, found.total, found.sampled, digest_of(everything))
        following = write_cursor(last, ctx.workspace_id)
    rows = rows[:limit]
    firsts = await ctx.engine.first_clicks(ctx.workspace_id, _keys(rows), ctx.timeout)
    data = [
        _event(
            row[: len(_COLUMNS)],
            zone,
            ctx.workspace_id,
            unique=_is_known_click(row) and (row[-1], row[-2]) in firsts,
        )
        for row in rows
    ]
    return ctx.answer(data, found, total=found.total, next_cursor=following)


async def _extent(
    ctx: Context[ClicksParams], everything: Question, after: Cursor | None
) -> tuple[QueryResult, int]:
    """How many events there are, and up to when they were received (ms): what the first page says of all."""
    if after is None:
        return await ctx.engine.extent(everything, None, ctx.timeout)
    until = after.received_until
    if after.question == digest_of(everything):
        found = QueryResult([], total=after.total, sampled=after.sampled, at=time.time(), reasons=("events",))
    else:  # another question, or a range that moved with the time
        found, _ = await ctx.engine.extent(everything, until, ctx.timeout)
    # What was received since is not on the pages that follow.
    return found._replace(at=min(found.at, until / 1000)), until


REPORT = Report(
    name="clicks",
    path="/api/v1/analytics/clicks",
    title="The events themselves",
    description="Newest first, with their properties. Clicks, unless `event_type` asks for another type. "
    "`meta.total` counts them all; `cursor` pages through them.",
    params=ClicksParams,
    data=list[Event],
    run=_run,
    defaults={"event_type": "click"},
)
