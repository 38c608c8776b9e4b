"""Whether the table `events` is what `model.columns` says."""

from collections.abc import Sequence

from footfall.model.columns import BY_NAME, COLUMNS


def differences(actual: Sequence[tuple[str, str, str]]) -> list[str]:
    """What is wrong with `actual`: (name, type, default kind) of each column, as in `system.columns`.

    Empty when nothing is. Columns that are not stored (EPHEMERAL, ALIAS) are the schema's own.
    """
    stored = {name: kind for name, kind, default in actual if default in ("", "DEFAULT")}
    wanted = {c.name: "String" if c.type == "JSON" else c.type for c in COLUMNS}
    missing = [f"{c.name} {c.type} is missing" for c in COLUMNS if c.name not in stored]
    other = [
        f"{c.name} is {stored[c.name]}, not {wanted[c.name]}"
        for c in COLUMNS
        if c.name in stored and stored[c.name] != wanted[c.name]
    ]
    unknown = [f"{name} {kind} is unknown" for name, kind in stored.items() if name not in BY_NAME]
    return missing + other + unknown
