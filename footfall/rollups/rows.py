"""Which events a build has, and which retention deletes: as conditions on `events`."""

from typing import NamedTuple

from footfall.state.rollups.manifest import Building, Going
from footfall.store import position_sql
from footfall.store.statement import Statement, Values


class Span(NamedTuple):
    """When the events of a site occurred: the first and the last, ms."""

    first: int
    last: int


def rows_of(building: Building, span: Span | None = None) -> Statement:
    """The events of a slice or rebuild; `span`: when they occurred."""
    values = Values("rows")
    where = position_sql.within(building, values)
    if span is not None:
        where += f" AND occurred_at >= {values.time(span.first)} AND occurred_at <= {values.time(span.last)}"
    return Statement(where, values.parameters)


def is_going(going: Going, values: Values) -> str:
    """Whether an event is one that retention deletes."""
    return (
        f"toYYYYMM(occurred_at) = {values.add(going.month, 'UInt32')}"
        f" AND site_id IN {values.add(list(going.sites), 'Array(String)')}"
        f" AND received_at < {values.time(going.received)} AND {position_sql.within(going.held, values)}"
    )


def going_events(going: Going) -> Statement:
    """The events of a deletion."""
    values = Values("going")
    return Statement(is_going(going, values), values.parameters)
