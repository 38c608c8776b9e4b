"""Names of countries, looked up at read time: a name may change, what was stored does not."""

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from babel import Locale

UNKNOWN = "Unknown"

# Codes of the CLDR that stand for no place: unknown region, and two for testing.
_NO_PLACE = frozenset({"ZZ", "XA", "XB"})


@lru_cache
def country_names() -> dict[str, str]:
    """English names by ISO 3166-1 alpha-2 code, from the Unicode CLDR."""
    territories = cast("Mapping[str, str]", Locale("en").territories)
    return {
        code: name
        for code, name in sorted(territories.items())
        if len(code) == 2 and code.isalpha() and code not in _NO_PLACE
    }
