"""Whether the table `events` is what `model.columns` says."""

import re
from collections.abc import Sequence

from footfall.model.columns import BY_NAME, COLUMNS

# How many paths of a JSON get columns of their own is tuned in the migrations, not in the model.
_TUNING = re.compile(r"^JSON\(.*\)$")


def differences(actual: Sequence[tuple[str, str, str]]) -> list[str]:
    """What is wrong with `actual`: (name, type, default kind) of each column, as in `system.columns`.

    Empty when nothing is. Columns that are not stored (EPHEMERAL, ALIAS) are the schema's own.
    """
    stored = {name: _TUNING.sub("JSON", kind) for name, kind, default in actual if default in ("", "DEFAULT")}
    missing = [f"{c.name} {c.type} is missing" for c in COLUMNS if c.name not in stored]
    other = [
        f"{c.name} is {stored[c.name]}, not {c.type}"
        for c in COLUMNS
        if c.name in stored and stored[c.name] != c.type
    ]
    unknown = [f"{name} {kind} is unknown" for name, kind in stored.items() if name not in BY_NAME]
    return missing + other + unknown
