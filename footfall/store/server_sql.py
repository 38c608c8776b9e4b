"""SQL that one server and a cluster spell differently: partitions, deletions, and stages. Written here only.

A stage is a table that only the statements of `Store.build` after it read; it need not outlive the store.
"""

from collections.abc import Mapping
from typing import Any, Literal

from footfall.store.statement import Statement

Partitioned = Literal["events", "rollups", "visits"]


def partitions(table: Partitioned) -> Statement:
    """Rows of (id, rows): the partitions that have any, in the order of their ids.

    An id is what the table is partitioned by, as text: of events the month of occurred_at (YYYYMM), of
    rollups month and build with "-" between them, of visits the build.
    """
    return Statement(
        "SELECT partition_id, sum(rows) FROM system.parts WHERE database = currentDatabase()"
        " AND table = {table:String} AND active AND rows > 0 GROUP BY partition_id ORDER BY partition_id",
        {"table": table},
    )


def drop_partition(table: Partitioned, *key: int) -> Statement:
    """Delete a partition; `key` is what it is partitioned by."""
    return Statement(f"ALTER TABLE {table} DROP PARTITION ({', '.join(map(str, key))})", {})


def delete_events(month: int, where: str, parameters: Mapping[str, Any]) -> Statement:
    """Delete the events of a month (YYYYMM) for which the condition holds; they are gone when it ends."""
    return Statement(
        f"ALTER TABLE events DELETE IN PARTITION ID {{partition:String}} WHERE {where}"
        " SETTINGS mutations_sync = 1",
        {**parameters, "partition": str(month)},
    )


def stage(name: str, rows: str, parameters: Mapping[str, Any]) -> Statement:
    """Make a stage of the rows of a SELECT."""
    return Statement(f"CREATE TABLE {name} ENGINE = Memory AS {rows}", parameters)


def unstage(name: str) -> Statement:
    """Drop a stage, if it is there."""
    return Statement(f"DROP TABLE IF EXISTS {name} SYNC", {})
