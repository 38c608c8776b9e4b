"""A statement with its parameters, and how parameters get into it."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """SQL, or a part of it, with its parameters: what `Store.query` and `Store.build` take."""

    sql: str
    parameters: Mapping[str, Any]


class Values:
    """The parameters of one statement: each value gets a name, and stands in the SQL as that only.

    `prefix` keeps the names apart from others that the same statement has.
    """

    def __init__(self, prefix: str = "p") -> None:
        self._prefix = prefix
        self.parameters: dict[str, Any] = {}

    def add(self, value: object, kind: str) -> str:
        """The placeholder for `value`, of a type of ClickHouse."""
        name = f"{self._prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def time(self, at: int) -> str:
        """The same for a time in ms."""
        return f"fromUnixTimestamp64Milli({self.add(at, 'Int64')}, 'UTC')"


def any_of(*conditions: str) -> str:
    """Joined with OR, in parentheses; without any, nothing holds."""
    return f"({' OR '.join(f'({each})' for each in conditions) or '0'})"
