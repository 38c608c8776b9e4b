"""Countries: the names of codes, looked up at read time, and the codes of names that others send.

A name may change; what was stored, a code, does not.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from babel import Locale
from babel.core import get_global

UNKNOWN = "Unknown"

# Codes of the CLDR that stand for no place: unknown region, and two for testing.
_NO_PLACE = frozenset({"ZZ", "XA", "XB"})

_NO_CODE = _NO_PLACE | {"XX"}  # what geo databases say of what they do not know

_LONGEST = 100

# Names beside the CLDR's: of ISO 3166, of geo databases, and of everyday English.
_OTHER_NAMES = {
    "AE": "UAE",
    "BN": "Brunei Darussalam",
    "BO": "Plurinational State of Bolivia, Bolivia Plurinational State of",
    "CD": "DR Congo, Democratic Republic of the Congo, Congo Democratic Republic of the, Congo-Kinshasa",
    "CG": "Congo, Republic of the Congo, Congo Republic, Congo-Brazzaville",
    "CI": "Ivory Coast",
    "CN": "People's Republic of China, Mainland China",
    "CV": "Cabo Verde",
    "CZ": "Czech Republic",
    "FK": "Falkland Islands Malvinas",
    "FM": "Federated States of Micronesia, Micronesia Federated States of",
    "GB": "Great Britain, England, Scotland, Wales, Northern Ireland, Britain, UK, U.K.,"
    " United Kingdom of Great Britain and Northern Ireland",
    "HK": "Hong Kong",
    "IR": "Islamic Republic of Iran, Iran Islamic Republic of",
    "KP": "Democratic People's Republic of Korea, Korea Democratic People's Republic of",
    "KR": "Korea, Republic of Korea, Korea Republic of",
    "LA": "Lao People's Democratic Republic",
    "MD": "Republic of Moldova, Moldova Republic of",
    "MK": "Macedonia, Republic of North Macedonia, Republic of Macedonia, FYROM",
    "MM": "Myanmar, Burma",
    "MO": "Macao, Macau",
    "NL": "Holland",
    "PS": "Palestine, State of Palestine, Palestine State of",
    "RU": "Russian Federation",
    "SY": "Syrian Arab Republic",
    "SZ": "Swaziland",
    "TL": "East Timor",
    "TR": "Turkey, Turkiye",
    "TW": "Taiwan Province of China",
    "TZ": "United Republic of Tanzania, Tanzania United Republic of",
    "US": "United States of America, USA, U.S.A., U.S., US",
    "VA": "Holy See, Vatican",
    "VE": "Bolivarian Republic of Venezuela, Venezuela Bolivarian Republic of",
    "VG": "Virgin Islands British",
    "VI": "Virgin Islands U.S.",
    "VN": "Viet Nam",
}


@lru_cache
def country_names() -> dict[str, str]:
    """English names by ISO 3166-1 alpha-2 code, from the Unicode CLDR."""
    territories = cast("Mapping[str, str]", Locale("en").territories)
    return {
        code: name
        for code, name in sorted(territories.items())
        if len(code) == 2 and code.isalpha() and code not in _NO_PLACE
    }


def country_code(text: str) -> str:
    """The alpha-2 code of a country by any of its names or codes; "" for what is none of them."""
    text = text.strip()
    if len(text) == 2 and text.isascii() and text.isalpha():
        code = _codes().get(text.lower(), text.upper())
        return "" if code in _NO_CODE else code
    return _codes().get(_plain(text), "") if len(text) <= _LONGEST else ""


@lru_cache
def _codes() -> dict[str, str]:
    found: dict[str, str] = {}
    names = country_names()
    aliases = cast("Mapping[str, list[str]]", get_global("territory_aliases"))
    for alias, codes in aliases.items():  # alpha-3 among them
        if len(codes) == 1 and codes[0] in names and alias.isalpha():
            found[alias.lower()] = codes[0]
    for code, name in names.items():
        found[_plain(name)] = code
        found[_plain(re.sub(r"\(.*?\)", "", name))] = code
    for code, others in _OTHER_NAMES.items():
        for name in others.split(","):
            found[_plain(name)] = code
    return found


def _plain(name: str) -> str:
    """Without accents, signs, articles and abbreviations, in lower case."""
    letters = unicodedata.normalize("NFKD", name).replace("&", " and ").lower()
    words = re.sub(r"[^a-z ]+", "", re.sub(r"[-/_]", " ", letters)).split()
    return " ".join("saint" if word == "st" else word for word in words if word != "the")
