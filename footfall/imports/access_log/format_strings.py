r"""Formats as servers are told them: nginx's `log_format` and Apache's `LogFormat`.

    $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"
    %h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"

A line is of a format from its first character to its last; variables that are not needed may be anything.
They are matched by RE2, whose time grows with the line only, whatever is written in the format.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import re2  # pyright: ignore[reportMissingTypeStubs]  it has none

from footfall.errors import Invalid
from footfall.imports.access_log import combined, json_log
from footfall.imports.access_log.request import (
    USER_AGENT,
    Request,
    agent_of,
    any_time,
    checked,
    none_if_dash,
    text,
)

LONGEST = 4000

_re2: Any = re2

_NGINX: Mapping[str, str] = {
    "remote_addr": "address", "proxy_protocol_addr": "address", "http_x_real_ip": "address",
    "http_cf_connecting_ip": "address", "http_true_client_ip": "address",
    "http_x_forwarded_for": "forwarded", "proxy_add_x_forwarded_for": "forwarded",
    "time_local": "time", "time_iso8601": "time", "msec": "time",
    "request": "first", "request_method": "method", "request_uri": "target",
    "uri": "path", "document_uri": "path",
    "args": "query", "query_string": "query", "status": "status",
    "http_referer": "referrer", "http_user_agent": "agent",
    "host": "host", "http_host": "host", "server_name": "host",
}  # fmt: skip
_APACHE: Mapping[str, str] = {
    "h": "address", "a": "address", "{c}a": "address", "t": "time", "r": "first", "m": "method", "U": "path",
    "q": "query", "s": "status", ">s": "status", "v": "host", "V": "host",
    "{referer}i": "referrer", "{user-agent}i": "agent", "{host}i": "host",
    "{x-forwarded-for}i": "forwarded", "{x-real-ip}i": "address", "{cf-connecting-ip}i": "address",
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{?(\w+)\}?|%[0-9,!]*([<>]?)(\{[^}]*\}(?:\^\w\w|[A-Za-z])|[A-Za-z%])")
_JSON_PAIR = re.compile(r'"([^"]+)"\s*:\s*"?\$\{?(\w+)\}?')
_BY_PART = {
    "address": r"(\S*)",
    "forwarded": r"([^\s,]*(?:, ?[^\s,]+)*)",
    "method": r"(\S+)",
    "target": r"(\S+)",
    "path": r"([^\s?]*)",
    "query": r"(\??\S*)",
    "status": r"(\d{3})",
    "time": r"(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}|\d{4}-\S+|\d+(?:\.\d+)?)",
}
_IN_QUOTES = r'((?:[^"\\]|\\.)*)'
_MEANS = {"\\t": "\t", '\\"': '"', "\\\\": "\\", "\\n": ""}
_NEEDED = ("time", "status")


class _Token(NamedTuple):
    """Text, or a variable: `part` is what it tells of a request, "" for what is not needed."""

    literal: str
    part: str | None
    clock: str = ""  # strptime's format of a time


class FormatString:
    """Reads the lines of one format. Raises Invalid with the field `format` where it tells too little."""

    def __init__(self, written: str) -> None:
        tokens = list(_tokens(_plain(written)))
        self._parts = [token.part for token in tokens if token.part is not None]
        self._clock = next((token.clock for token in tokens if token.clock), "")
        check_parts(self._parts)
        _check_clock(self._clock)
        self._pattern = _re2.compile("".join(_patterns(tokens)))

    def __call__(self, line: str) -> Request:
        """The request that a line tells of. Raises ValueError, without the line in its text."""
        found = self._pattern.fullmatch(line)
        if found is None:
            raise ValueError("not a line of the format")
        said: dict[str, str] = {}
        for part, value in zip(self._parts, found.groups(), strict=True):
            if part and (part not in said or said[part] in {"", "-"}):
                said[part] = combined.unescape(value) if "\\" in value else value
        return _request(said, self._clock)


@lru_cache(32)
def reader_of(written: str) -> Callable[[str], Request]:
    """What reads lines of this format. Raises Invalid with the field `format`."""
    if len(written) > LONGEST:
        raise Invalid(f"format is longer than {LONGEST} characters", field="format")
    if not written.lstrip().startswith("{"):
        return FormatString(written)
    names: dict[str, tuple[str, ...]] = {}
    for name, variable in _JSON_PAIR.findall(written):
        part = _NGINX.get(variable)
        if part:
            names[part] = (*names.get(part, ()), name)
    check_parts(list(names))
    paths = {part: tuple((name,) for name in theirs) for part, theirs in names.items()}
    return lambda line: json_log.parse(line, paths)


def check_parts(parts: list[str]) -> None:
    """Raises Invalid where a format does not say what a request needs."""
    missing = [part for part in _NEEDED if part not in parts]
    if "first" not in parts and not ("method" in parts and ("target" in parts or "path" in parts)):
        missing.append("request (or method and URI)")
    if missing:
        raise Invalid(
            f"format has no {' and no '.join(missing)}; write nginx's log_format or Apache's LogFormat as it "
            "stands in the server's configuration",
            field="format",
        )


def _check_clock(clock: str) -> None:
    """Raises Invalid unless `strptime` knows this form of a time."""
    try:
        datetime.strptime("", clock)  # noqa: DTZ007 -- it is no time
    except re.error:
        why = "it names a part twice"
    except ValueError as error:
        why = str(error)
        if "does not match" in why:
            return
    else:
        return
    raise Invalid(f"format: the time {{{clock[:40]}}}t is not known: {why[:100]}", field="format")


def _request(said: dict[str, str], clock: str) -> Request:
    at = _time(said["time"], clock)
    status = int(said["status"])
    checked(at, status)
    method, target = (
        combined.request_line(said["first"]) if "first" in said else (said["method"], _target(said))
    )
    agent = said.get("agent")
    address = said.get("address", "")
    if address not in {"", "-", "unknown", "unix:"} and not combined.client_of(address):
        raise ValueError("the client's address is none")
    return Request(
        combined.through_proxies(said.get("forwarded", ""), address),
        at,
        method,
        target,
        status,
        none_if_dash(said.get("referrer", "")),
        "" if agent is None else text(agent_of(agent), USER_AGENT),
        none_if_dash(said.get("host", "")),
    )


def _target(said: dict[str, str]) -> str:
    if "target" in said:
        return said["target"]
    query = none_if_dash(said.get("query", "")).removeprefix("?")
    return said["path"] + (f"?{query}" if query else "")


def _time(written: str, clock: str) -> int:
    if not clock:
        return any_time(written.strip("[]"))
    try:
        at = datetime.strptime(written, clock)  # noqa: DTZ007 -- a zone is given below where none is named
    except ValueError:
        raise ValueError("the time is not as the format says") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _plain(written: str) -> str:
    """As the server means it: without the directive around it, its quotes and escapes."""
    written = written.strip().removesuffix(";").strip()
    found = re.fullmatch(
        r"(?:log_format\s+\S+\s+(?:escape=\w+\s+)?|LogFormat\s+)(.*?)(?:\s+\w+)?", written, re.DOTALL
    )
    if found and found[1][:1] in "\"'":
        written = found[1]
    if re.fullmatch(r"(?:'[^']*'\s*)+", written):  # nginx joins what stands in several quotes
        return "".join(re.findall(r"'([^']*)'", written))
    if (
        len(written) > 1
        and written[0] == written[-1]
        and written[0] in "\"'"
        and ("\\" in written or written[0] == "'")
    ):
        written = written[1:-1]
    return re.sub(r'\\[tn"\\]', lambda found: _MEANS[found[0]], written)


def _tokens(written: str) -> Iterator[_Token]:
    at = 0
    for found in _VARIABLE.finditer(written):
        if found.start() > at:
            yield _Token(written[at : found.start()], None)
        at = found.end()
        nginx, which, apache = found.groups()
        if nginx:
            yield _Token("", _NGINX.get(nginx, ""))
        elif apache == "%":
            yield _Token("%", None)
        elif apache.endswith("}t"):
            yield _apache_time(apache[1:-2])
        else:
            name = which + apache if which == ">" else apache
            yield _Token(
                "[]" if name == "t" else "", _APACHE.get(name.lower() if name[0] == "{" else name, "")
            )
    if at < len(written):
        yield _Token(written[at:], None)


def _apache_time(written: str) -> _Token:
    clock = written.removeprefix("begin:").removeprefix("end:")
    return _Token("", "time", "" if clock in {"sec", "msec", "usec"} else clock)


def _patterns(tokens: list[_Token]) -> Iterator[str]:
    for place, token in enumerate(tokens):
        if token.part is None:
            yield re.escape(token.literal)
            continue
        before = tokens[place - 1].literal if place else ""
        after = tokens[place + 1].literal if place + 1 < len(tokens) else ""
        if before.endswith('"') and after.startswith('"') and token.part != "time":
            yield _IN_QUOTES
        elif token.clock:
            yield "(.*?)"
        elif token.literal == "[]":
            yield rf"\[{_BY_PART['time']}\]"
        else:
            yield _BY_PART.get(token.part, r"([^\t]*)" if "\t" in before + after else "(.*?)")
