"""Names of networks (autonomous systems), looked up at read time.

There is no list of names: a MaxMind DB file of networks says the organisation beside the number
of each block of addresses. It is read once, when somebody first asks.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from maxminddb import (
    InvalidDatabaseError,
    open_database,  # pyright: ignore[reportUnknownVariableType]  a type argument is missing
)

from footfall.errors import Misconfigured

_NUMBERS = ("autonomous_system_number", "asn")
_NAMES = ("autonomous_system_organization", "as_name", "name", "org")


class Networks:
    """The organisations of a file (GeoLite2 ASN, DB-IP ASN, IPinfo); without one, no name is known."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._names: Mapping[int, str] | None = None
        self._reading = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    async def load(self) -> None:
        """Read the file if that was not done yet. Raises Misconfigured when it cannot be read."""
        async with self._reading:
            if self._names is None:
                self._names = await asyncio.to_thread(_read, self._path) if self._path else {}

    def name(self, asn: int) -> str | None:
        """The organisation of a network; None when unknown or not loaded."""
        return (self._names or {}).get(asn)


def _read(path: Path) -> dict[int, str]:
    try:
        with open_database(path) as reader:
            return _names(record for _, record in cast("Iterable[tuple[Any, Any]]", reader))
    except (OSError, InvalidDatabaseError) as error:
        raise Misconfigured(f"asn_database: {error}") from None


def _names(records: Iterable[Any]) -> dict[int, str]:
    names: dict[int, str] = {}
    for record in records:
        if not isinstance(record, dict):
            continue
        fields = cast("dict[str, Any]", record)
        number = next((fields[name] for name in _NUMBERS if name in fields), None)
        name = next((fields[name] for name in _NAMES if name in fields), None)
        digits = str(number).upper().removeprefix("AS")
        if name and digits.isascii() and digits.isdecimal():
            names[int(digits)] = str(name)
    return names
