"""Who has done several things, one after the other."""

from collections.abc import Mapping, Sequence

from footfall.model.session_fields import ORDER
from footfall.query.sql.node import Select, named


def in_order(key: str, base: Sequence[str], steps: Mapping[str, str], within: str) -> Select:
    """A SELECT of the keys that have an event for each step, one after the other. `within`: ms, or any time.

    `at0` is when an event takes the first step; `at1` when the last begin was for which it is a second step
    behind a first one; and so on. The last begin is the one that may be near enough to the end.
    """
    rows = Select(
        {key: key, "place": ORDER, "shard": "shard", "at": "toUnixTimestamp64Milli(occurred_at)", **steps},
        "events",
        base,
    )
    before = f"PARTITION BY {key} ORDER BY place, shard ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    columns = named(*rows.columns)
    begun = Select(columns | {"at0": "if(step0, at, NULL)"}, rows.inner(), [f"({' OR '.join(steps)})"])
    for number, name in list(enumerate(steps))[1:]:
        behind = f"if({name}, max(at{number - 1}) OVER ({before}), NULL)"
        begun = Select(columns | named(f"at{number - 1}") | {f"at{number}": behind}, begun.inner())
    last = f"at{len(steps) - 1}"
    near = [f"at - {last} <= {within}"] if within else []
    return Select(named(key), begun.inner(), [f"{last} IS NOT NULL", *near])
