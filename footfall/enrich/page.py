"""Page URL -> path, and the campaign (UTM) parameters of its query."""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from footfall.enrich.text import clean

Utm = tuple[str, str, str, str, str]

MAX_PATH = 1024
MAX_UTM = 200

NO_UTM: Utm = ("", "", "", "", "")
_UTM = {"utm_source": 0, "utm_medium": 1, "utm_campaign": 2, "utm_term": 3, "utm_content": 4}


# What Python does not call printable and writing needs all the same: the joiners of Persian, Hindi and
# emoji, the tags of a flag, and marks that enclose digits. What hides or turns text is not among them.
_SHOWN = re.compile(
    "[\\u200c\\u200d\\u0600-\\u0605\\u06dd\\u070f\\u0890\\u0891\\u08e2]"
    "|\\U0001f3f4[\\U000e0030-\\U000e007a]{2,6}\\U000e007f"
)


class PageFields(NamedTuple):
    """Where it happened. "" is unknown."""

    page_path: str
    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_term: str
    utm_content: str


def parse_page(page_url: str, utm: Utm | None, *, hash_routes: bool = False) -> PageFields:
    """Split a page's URL. Of each UTM parameter the explicit value wins over the URL's.

    `hash_routes`: a fragment that is a path (`#/about`, `#!/about`) is part of the page's path.
    """
    address, _, fragment = page_url.partition("#")
    address, _, query = address.partition("?")
    route = ""
    if hash_routes and fragment.startswith(("/", "!/")):
        route, _, further = fragment.partition("?")
        route, query = f"#{_readable(route)}", f"{query}&{further}"
    tagged = _utm(query) if "utm_" in query else NO_UTM
    if utm:
        tagged = tuple(clean(given, MAX_UTM) or of_url for given, of_url in zip(utm, tagged, strict=True))
    return PageFields(clean(_path(address) + route, MAX_PATH) if route else _path(address), *tagged)


def merged_campaign(query: str, destination: str) -> Utm | None:
    """The campaign of a click on a link: what the visited URL's `query` says, else the destination's.

    Parameter by parameter: an empty one says nothing. None where the destination has none: what the visited
    URL says is then found in it.
    """
    written = _destination_campaign(destination)
    if written is None or "utm_" not in query:
        return written
    said = _utm(query.partition("#")[0])
    return tuple(own or theirs for own, theirs in zip(said, written, strict=True))  # pyright: ignore[reportReturnType]  as many as NO_UTM


@lru_cache(2000)  # targets may be 8 KiB long
def _destination_campaign(url: str) -> Utm | None:
    if "utm_" not in url:
        return None
    page = parse_page(url, None)
    found = (page.utm_source, page.utm_medium, page.utm_campaign, page.utm_term, page.utm_content)
    return found if any(found) else None


def _path(address: str) -> str:
    """The path as people read it: percent-encoding undone where that gives printable text."""
    _, scheme, rest = address.partition("://")
    if scheme:
        slash = rest.find("/")
        path = rest[slash:] if slash >= 0 else "/"
    else:
        path = address if address.startswith("/") else ""
    return clean(_readable(path), MAX_PATH)


def _readable(path: str) -> str:
    """Without its percent-encoding, where that is printable text."""
    if "%" not in path:
        return path
    try:
        readable = unquote(path, errors="strict")
    except UnicodeError:
        return path
    return readable if readable and _SHOWN.sub("", readable).isprintable() else path


def _utm(query: str) -> Utm:
    """The first non-empty value of each parameter. Names are lower case, as everywhere."""
    values = list(NO_UTM)
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        place = _UTM.get(name.removeprefix("amp;"))  # of a link that was escaped twice
        if place is not None and not values[place]:
            values[place] = clean(unquote_plus(value), MAX_UTM)
    return tuple(values)  # pyright: ignore[reportReturnType]  as many as NO_UTM
