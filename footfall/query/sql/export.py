"""The SELECTs of exports: events by the page, in an order in which none is ever met twice.

Events are in the order (site, time, place in the log). That is how the table lies on disk: by
time alone, every page would read a bit of every site, five times the work with fifty sites.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa

from footfall.model.calendar import instant
from footfall.model.columns import COLUMNS, SHOWN_AS, Column
from footfall.query.language.question import Question, about_events
from footfall.query.sql.node import Select, named
from footfall.query.sql.sources import Events
from footfall.store import position_sql
from footfall.store.statement import Statement, Values

_ORDER = ("site_id", "occurred_at", "shard", "seq")
_PLACE = ("shard", "seq")

_LINE: Any = pa.string()
_TEXT: Any = pa.dictionary(pa.int32(), pa.string())
_TIME: Any = pa.timestamp("ms", "UTC")

_SHOWN: Mapping[str, tuple[str, Any]] = {  # type: (SQL over the column, type in Arrow)
    "UUID": ("toString({})", _LINE),
    "UInt64": ("leftPad(lower(hex({})), 16, '0')", _LINE),
    "Float32": ("{}", pa.float32()),
    "DateTime64(3, 'UTC')": ("{}", _TIME),
    "JSON": ("if({0} = '', '{{}}', {0})", _LINE),
    "UInt16": ("{}", pa.uint16()),
    "UInt32": ("{}", pa.uint32()),
    "Bool": ("{}", pa.bool_()),
    "String": ("{}", _LINE),
    "LowCardinality(String)": ("{}", _TEXT),
}

JSON = b"json"
"""Key in the metadata of a field of text that is JSON."""
TOKEN = b"token"
"""The same of text that is an id: letters, digits and hyphens."""

_COLUMNS = [column for column in COLUMNS if column.role not in ("private", "position")]


class Place(NamedTuple):
    """Where an event stands in the order. `at` is in ms."""

    site_id: str
    at: int
    shard: int
    seq: int


class ExportCursor(NamedTuple):
    """Events of a question: those after `after`, and of each shard those up to `newest`.

    `sites`: from the first to the last of these, None for all; `hours`: from (inclusive) and until
    (exclusive), in ms.
    """

    after: Place | None = None
    newest: Mapping[int, int] | None = None
    sites: tuple[str, str] | None = None
    hours: tuple[int, int] | None = None


def totals(question: Question, part: ExportCursor) -> Statement:
    """Rows of (site_id, shard, events, newest): how many events, and the largest seq of them."""
    columns = named("site_id", "shard") | {"events": "count()", "newest": "max(seq)"}
    return _select(question, part, columns, group_by=("site_id", "shard"), order_by=("site_id",))


def hours(question: Question, part: ExportCursor) -> Statement:
    """Rows of (hour, events), in order; `hour` is in ms."""
    columns = {"hour": "toInt64(toUnixTimestamp(toStartOfHour(occurred_at))) * 1000", "events": "count()"}
    return _select(question, part, columns, group_by=("hour",), order_by=("hour",))


def page(question: Question, part: ExportCursor, limit: int) -> Statement:
    """The first events of the part in columns c0, c1, ... as `with_names` wants them."""
    columns = {f"c{number}": _sql(column) for number, column in enumerate(_COLUMNS)}
    return _select(question, part, columns | named(*_PLACE), order_by=_ORDER, limit=limit)


def nth(question: Question, part: ExportCursor, number: int) -> Statement:
    """The row (at, event_id) of one event of the part; the first is number 0."""
    columns = {"at": "toUnixTimestamp64Milli(occurred_at)", "id": "toString(event_id)"}
    return _select(question, part, columns, order_by=_ORDER, limit=1, offset=number)


def place_of(workspace_id: str, at: int, event_id: UUID) -> Statement:
    """The row (site_id, shard, seq) of an event, if there is one."""
    values = Values()
    where = [
        f"workspace_id = {values.add(workspace_id, 'String')}",
        f"occurred_at = {values.time(at)}",
        f"event_id = {values.add(str(event_id), 'UUID')}",
    ]
    text = Select(named("site_id", "shard", "seq"), "events", where, order_by=_ORDER, limit=1)
    return Statement(str(text), values.parameters)


SCHEMA: Any = pa.schema(
    [
        pa.field(
            column.name,
            _SHOWN[column.type][1],
            nullable=bool(column.is_unknown),
            metadata={JSON if column.type == "JSON" else TOKEN: b""}
            if column.type in ("JSON", "UUID", "UInt64")
            else None,
        )
        for column in _COLUMNS
    ]
)
"""The columns of an export of events."""


def with_names(found: pa.Table) -> tuple[pa.Table, Place | None]:
    """A page as SCHEMA has it, and the place of its last event."""
    if not found.num_rows:
        return SCHEMA.empty_table(), None
    found = found.unify_dictionaries().combine_chunks()
    made = pa.Table.from_arrays(found.columns[: -len(_PLACE)], schema=SCHEMA)
    (last,) = made.select(["site_id", "occurred_at"]).slice(made.num_rows - 1).to_pylist()
    (place,) = found.select(list(_PLACE)).slice(made.num_rows - 1).to_pylist()
    return made, Place(last["site_id"], instant(last["occurred_at"]), place["shard"], place["seq"])


def _sql(column: Column) -> str:
    sql = _SHOWN[column.type][0].format(SHOWN_AS.get(column.name, column.name))
    return f"if({column.is_unknown}, NULL, {sql})" if column.is_unknown else sql


def _select(
    question: Question,
    part: ExportCursor,
    columns: Mapping[str, str],
    *,
    group_by: Sequence[str] = (),
    order_by: Sequence[str],
    limit: int | None = None,
    offset: int = 0,
) -> Statement:
    events = Events(about_events(question), Values())
    text = events.select(
        columns,
        *_conditions(part, events.values),
        group_by=group_by,
        order_by=order_by,
        limit=limit,
        offset=offset,
    )
    return Statement(str(text), events.values.parameters)


def _conditions(part: ExportCursor, values: Values) -> Sequence[str]:
    add = values.add
    conditions: list[str] = []
    if part.sites:
        first, last = (add(site, "String") for site in part.sites)
        conditions += [f"site_id >= {first}", f"site_id <= {last}"]
    if part.hours:
        start, end = (values.time(at) for at in part.hours)
        conditions += [f"occurred_at >= {start}", f"occurred_at < {end}"]
    if part.newest is not None:
        conditions.append(position_sql.up_to(part.newest, values))
    if part.after:
        site, at = add(part.after.site_id, "String"), values.time(part.after.at)
        place = f"{add(part.after.shard, 'UInt64')}, {add(part.after.seq, 'UInt64')}"
        later = f"occurred_at > {at} OR (occurred_at = {at} AND (shard, seq) > ({place}))"
        conditions += [
            # Said twice: this is what the index understands.
            f"site_id > {site} OR (site_id = {site} AND occurred_at >= {at})",
            f"site_id > {site} OR {later}",
        ]
    return [f"({condition})" for condition in conditions]
