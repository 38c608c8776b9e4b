"""The lines that HAProxy, Envoy and the load balancers of AWS write unless they are told otherwise.

    203.0.113.9:33317 [06/Feb/2026:12:14:14.655] in back/srv 1/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 ...
    [2026-02-06T12:14:14.655Z] "GET / HTTP/1.1" 200 - 0 154 6 5 "203.0.113.9" "AGENT" "id" "host" "10.0.0.1:8"
    https 2026-02-06T12:14:14.6Z app/x/id 203.0.113.9:2817 10.0.0.1:80 0 0 0 200 200 34 366 "GET ..." "AGENT"

Sources: HAProxy's configuration manual 8.2.3, Envoy's documentation of its default format (and Istio's longer
one), AWS's documentation of the logs of Application and Classic Load Balancers.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from footfall.imports.access_log.combined import request_line, through_proxies
from footfall.imports.access_log.request import (
    USER_AGENT,
    Request,
    agent_of,
    any_time,
    checked,
    clf_time,
    text,
)

_QUOTED = r'"([^"]*)"'
_HAPROXY = re.compile(
    r"(\S+):\d+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)\.(\d{3})\] \S+ \S+ [\d/+-]+ (\d{3}|-1) \+?\d+ "
    r"\S+ \S+ "
    rf"[A-Za-z-]{{4}} [\d/+]+ [\d/+]+ (?:\{{([^}}]*)\}} )?(?:\{{([^}}]*)\}} )?{_QUOTED}(?: .*)?"
)
_ENVOY = re.compile(
    rf"\[(\d{{4}}-[^\]]*)\] {_QUOTED} (\d+) \S+ (?:\S+ \S+ \"[^\"]*\" )?[\d-]+ [\d-]+ [\d-]+ [\d-]+ "
    rf"{_QUOTED} {_QUOTED} {_QUOTED} {_QUOTED}(?: .*)?"
)
_ALB = re.compile(
    r"(?:https?|h2|grpcs?|wss?) (\d{4}-\S+) \S+ (\S+) \S+ [\d.-]+ [\d.-]+ [\d.-]+ (\d{3}|-) "
    rf"\S+ [\d-]+ [\d-]+ {_QUOTED} {_QUOTED}(?: .*)?"
)
_CLASSIC = re.compile(
    r"(\d{4}-\S+T\S+Z) \S+ (\S+:\d+) \S+ [\d.-]+ [\d.-]+ [\d.-]+ (\d{3}|-) \S+ [\d-]+ [\d-]+ "
    rf"{_QUOTED} {_QUOTED} \S+ \S+"
)


def _haproxy(found: re.Match[str], captures: tuple[str, ...]) -> Request:
    address, time, milliseconds, status, asked, answered, first = found.groups()
    at = clf_time(f"{time} +0000") + int(milliseconds)
    headers = _captured(asked if asked is not None else "", captures)
    if answered and answered.strip("|"):
        raise ValueError("there are captured headers of the answer; their names are not known")
    agent = headers.get("user-agent")
    return _request(
        address,
        at,
        first,
        status,
        "" if agent is None else agent_of(agent),
        referrer=headers.get("referer", ""),
        host=headers.get("host", ""),
        forwarded=headers.get("x-forwarded-for", ""),
    )


def _captured(values: str, names: tuple[str, ...]) -> Mapping[str, str]:
    """The captured headers. Raises ValueError where nobody said which they are."""
    parts = values.split("|") if values else []
    if any(parts) and len(parts) != len(names):
        raise ValueError("there are captured headers; say which: --format 'haproxy {Host|User-Agent}'")
    return dict(zip(names, parts, strict=False))


def _envoy(found: re.Match[str], _: tuple[str, ...]) -> Request:
    time, first, status, forwarded, agent, _id, host = found.groups()
    return _request("", any_time(time), first, status, agent_of(agent), host=host, forwarded=forwarded)


def _balancer(found: re.Match[str], _: tuple[str, ...]) -> Request:
    time, address, status, first, agent = found.groups()
    return _request(address, any_time(time), first, status, agent_of(agent))


def _request(
    address: str,
    at: int,
    first: str,
    status: str,
    agent: str,
    *,
    referrer: str = "",
    host: str = "",
    forwarded: str = "",
) -> Request:
    if not status.isdecimal():
        raise ValueError("no answer was sent")
    checked(at, int(status))
    method, target = request_line(first)
    client = through_proxies(forwarded, address)
    return Request(client, at, method, target, int(status), referrer, text(agent, USER_AGENT), host)


_FORMATS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], tuple[str, ...]], Request]], ...] = (
    (_ENVOY, _envoy),
    (_ALB, _balancer),
    (_CLASSIC, _balancer),
    (_HAPROXY, _haproxy),
)


def parse(line: str, captures: tuple[str, ...] = ()) -> Request | None:
    """The request that a line tells of, None where it is none of these formats.

    `captures`: the request headers that HAProxy captures, in its order, lower case. Raises ValueError for
    what cannot be, without the line in its text.
    """
    for pattern, read in _FORMATS:
        found = pattern.fullmatch(line)
        if found is not None:
            return read(found, captures)
    return None


def utc(written: str) -> int:
    """The ms of "2026-02-06 12:14:14" in UTC. Raises ValueError."""
    try:
        return int(datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        raise ValueError("the time is none that is known") from None
