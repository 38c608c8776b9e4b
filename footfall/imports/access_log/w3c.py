"""The extended log format of the W3C: IIS writes it with blanks, CloudFront with tabs.

    #Fields: date time s-ip cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) cs(Referer) sc-status

What a line means is said by the `#Fields:` in front of it. Times are in UTC. IIS writes `+` for a blank in
headers, CloudFront percent-encodes them. Source: the W3C's working draft WD-logfile, and what both document.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

from footfall.imports.access_log.balancers import utc
from footfall.imports.access_log.combined import through_proxies
from footfall.imports.access_log.request import USER_AGENT, Request, agent_of, checked, none_if_dash, text

_NAMES = {
    "date": ("date",),
    "time": ("time",),
    "address": ("c-ip",),
    "forwarded": ("x-forwarded-for", "cs(x-forwarded-for)"),
    "method": ("cs-method",),
    "path": ("cs-uri-stem",),
    "query": ("cs-uri-query",),
    "status": ("sc-status",),
    "referrer": ("cs(referer)", "cs(referrer)"),
    "agent": ("cs(user-agent)",),
    # CloudFront's own name stands in cs(Host), the site's in x-host-header.
    "host": ("x-host-header", "cs-host", "cs(host)"),
}
_QUOTED = re.compile(r'"[^"]*"|[^ ]+')
_NEEDED = ("date", "time", "method", "path", "status")


class Fields(NamedTuple):
    """Where each part stands in a line; `values`: how many values a line has."""

    places: dict[str, int]
    values: int


def read_fields(directive: str) -> Fields:
    """Reads what stands behind `#Fields:`. Raises ValueError where a part of a request is missing."""
    names = [name.lower() for name in directive.split()]
    places = {
        part: next(names.index(name) for name in known if name in names)
        for part, known in _NAMES.items()
        if not set(known).isdisjoint(names)
    }
    missing = [_NAMES[part][0] for part in _NEEDED if part not in places]
    if missing:
        raise ValueError(f"#Fields does not name {', '.join(missing)}")
    return Fields(places, len(names))


def parse(line: str, fields: Fields) -> Request:
    """The request that a line tells of. Raises ValueError, without the line in its text."""
    tabs = "\t" in line
    values = line.split("\t") if tabs else _QUOTED.findall(line) if '"' in line else line.split(" ")
    if len(values) != fields.values:
        raise ValueError("not as many values as #Fields names")

    def value(part: str) -> str:
        place = fields.places.get(part)
        return "" if place is None else none_if_dash(values[place].strip('"'))

    status = value("status")
    if not status.isascii() or not status.isdecimal():
        raise ValueError("no status of an answer")
    at = utc(f"{value('date')} {value('time')}")
    checked(at, int(status[:4]))
    query = value("query")
    plain = '"' in line
    agent = _header(value("agent"), tabs=tabs, plain=plain)
    return Request(
        through_proxies(value("forwarded"), value("address")),
        at,
        value("method"),
        value("path") + (f"?{query}" if query else ""),
        int(status[:4]),
        _header(value("referrer"), tabs=tabs, plain=plain),
        text(agent_of(agent), USER_AGENT) if "agent" in fields.places else "",
        value("host"),
    )


def _header(written: str, *, tabs: bool, plain: bool) -> str:
    if not tabs:
        return written if plain and " " in written else written.replace("+", " ")
    # Twice, where a client's own escapes were escaped.
    return unquote(unquote(written)) if "%25" in written else unquote(written)
