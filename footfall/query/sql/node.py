"""A SELECT as a value: its columns have names until it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Select:
    """`columns`: SQL by the name that it gets. `source`: a table, the `inner` of another SELECT, or a join.

    The conditions `where` are joined with AND.
    """

    columns: Mapping[str, str]
    source: str
    where: Sequence[str] = ()
    group_by: Sequence[str] = ()
    order_by: Sequence[str] = ()
    limit: int | None = None
    offset: int = 0

    def __str__(self) -> str:
        """The text."""
        columns = (sql if sql == name else f"{sql} AS {name}" for name, sql in self.columns.items())
        clauses = [f"SELECT {', '.join(columns)} FROM {self.source}"]
        if self.where:
            clauses.append(f"WHERE {' AND '.join(self.where)}")
        if self.group_by:
            clauses.append(f"GROUP BY {', '.join(self.group_by)}")
        if self.order_by:
            clauses.append(f"ORDER BY {', '.join(self.order_by)}")
        if self.limit is not None:
            clauses.append(f"LIMIT {self.limit:d} OFFSET {self.offset:d}")
        return " ".join(clauses)

    def inner(self, alias: str = "") -> str:
        """As the source of another, or a part of it."""
        return f"({self})" + (f" AS {alias}" if alias else "")


@dataclass(frozen=True, slots=True)
class UnionAll:
    """The rows of all. Columns are matched by their place, so all name the same ones in the same order."""

    selects: Sequence[Select]

    def __post_init__(self) -> None:
        """Columns that are exchanged would be answered as each other."""
        assert len({tuple(each.columns) for each in self.selects}) == 1, "other columns, or another order"

    def inner(self, alias: str = "") -> str:
        """As the source of a SELECT, or a part of it."""
        return f"({' UNION ALL '.join(map(str, self.selects))})" + (f" AS {alias}" if alias else "")


def named(*names: str) -> dict[str, str]:
    """Columns of the source by their own names."""
    return {name: name for name in names}
