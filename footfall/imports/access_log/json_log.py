"""Access logs with a JSON object a line: nginx (`escape=json`), Caddy, Traefik, Cloudflare and the like.

Sources of the names: nginx's variables, and the documentation of Caddy's, Traefik's and
Cloudflare's logs.
"""

from typing import Any, cast

import msgspec

from footfall.imports.access_log.request import USER_AGENT, Request, any_time, checked, text

NAMES: dict[str, tuple[str, ...]] = {
    "address": (
        "client_ip", "remote_addr", "remote_ip", "request.client_ip", "request.remote_ip", "ClientHost",
        "ClientIP", "clientip", "remote_host", "ip",
    ),
    "time": (
        "time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "ts", "StartUTC",
        "EdgeStartTimestamp", "time",
    ),
    "method": ("request_method", "method", "request.method", "RequestMethod", "ClientRequestMethod", "verb"),
    "target": (
        "request_uri", "uri", "request.uri", "RequestPath", "ClientRequestURI", "url", "path", "request_path",
    ),
    "status": (
        "status", "status_code", "response_code", "DownstreamStatus", "EdgeResponseStatus", "response",
    ),
    "referrer": (
        "http_referer", "referer", "referrer", "http_referrer", "request.headers.Referer", "request_Referer",
        "ClientRequestReferer",
    ),
    "user_agent": (
        "http_user_agent", "user_agent", "agent", "request.headers.User-Agent", "request_User-Agent",
        "ClientRequestUserAgent", "useragent",
    ),
    "host": ("http_host", "host", "vhost", "server_name", "request.host", "RequestHost", "ClientRequestHost"),
}  # fmt: skip
"""For each part of a request where it may stand; the first name that is there counts. A dot goes deeper."""

_PATHS = {part: tuple(name.split(".") for name in names) for part, names in NAMES.items()}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def parse(line: str) -> Request:
    """The request that a line tells of. Raises ValueError, without the line in its text."""
    try:
        line_of = _decode(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    target, method = _text(_find(line_of, "target")), _text(_find(line_of, "method"))
    first = line_of.get("request")
    if isinstance(first, str) and not (method and target):  # "GET /page HTTP/1.1"
        words = first.split(" ")
        method, target = words[0], words[1] if len(words) > 1 else ""
    if not method or not target:
        raise ValueError("no method and target of a request (names that are known: see the documentation)")
    at = any_time(_find(line_of, "time"))
    status = _status(_find(line_of, "status"))
    checked(at, status)
    return Request(
        _text(_find(line_of, "address")),
        at,
        method,
        target,
        status,
        _text(_find(line_of, "referrer")),
        text(_text(_find(line_of, "user_agent")), USER_AGENT),
        _text(_find(line_of, "host")),
    )


def _find(line_of: dict[str, Any], part: str) -> Any:
    for path in _PATHS[part]:
        value: Any = line_of
        for name in path:
            value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
        if value is not None and value != "":
            return value
    return None


def _text(value: Any) -> str:
    """Text, or the first of several values of a header."""
    if isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    return value if isinstance(value, str) else ""


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:4])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("no status of an answer")
