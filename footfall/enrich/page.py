"""Page URL -> path, and the campaign (UTM) parameters of its query."""

from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from footfall.enrich.text import clean

Utm = tuple[str, str, str, str, str]

MAX_PATH = 1024
MAX_UTM = 200

NO_UTM: Utm = ("", "", "", "", "")
_UTM = {"utm_source": 0, "utm_medium": 1, "utm_campaign": 2, "utm_term": 3, "utm_content": 4}


class PageFields(NamedTuple):
    """Where it happened. "" is unknown."""

    page_path: str
    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_term: str
    utm_content: str


def parse_page(page_url: str, utm: Utm | None) -> PageFields:
    """Split a page's URL. Of each UTM parameter the explicit value wins over the URL's."""
    address, _, _ = page_url.partition("#")
    address, _, query = address.partition("?")
    tagged = _utm(query) if "utm_" in query else NO_UTM
    if utm:
        tagged = tuple(clean(given, MAX_UTM) or of_url for given, of_url in zip(utm, tagged, strict=True))
    return PageFields(_path(address), *tagged)


def _path(address: str) -> str:
    """The path as people read it: percent-encoding undone where that gives printable text."""
    _, scheme, rest = address.partition("://")
    if scheme:
        slash = rest.find("/")
        path = rest[slash:] if slash >= 0 else "/"
    else:
        path = address if address.startswith("/") else ""
    if "%" in path:
        try:
            readable = unquote(path, errors="strict")
        except UnicodeError:
            readable = ""
        path = readable if readable.isprintable() and readable else path
    return clean(path, MAX_PATH)


def _utm(query: str) -> Utm:
    """The first non-empty value of each parameter. Names are lower case, as everywhere."""
    values = list(NO_UTM)
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        place = _UTM.get(name)
        if place is not None and not values[place]:
            values[place] = clean(unquote_plus(value), MAX_UTM)
    return tuple(values)  # pyright: ignore[reportReturnType]  as many as NO_UTM
