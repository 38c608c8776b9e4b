"""Access logs with a JSON object a line: nginx (`escape=json`), Caddy, Traefik, Cloudflare and the like.

Sources of the names: nginx's variables, and the documentation of the logs of Caddy, Traefik, Cloudflare,
Envoy, Fastly, Google's and Azure's load balancers, and of the Elastic Common Schema.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from footfall.imports.access_log import combined
from footfall.imports.access_log.request import USER_AGENT, Request, any_time, checked, none_if_dash, text

NAMES: dict[str, tuple[str, ...]] = {
    "address": (
        "client_ip", "remote_addr", "remote_ip", "request.client_ip", "request.remote_ip", "ClientHost",
        "ClientIP", "clientip", "remote_host", "ip", "request.remote_addr", "ClientAddr", "source.ip",
        "client.ip", "httpRequest.remoteIp", "downstream_remote_address", "properties.clientIp", "c-ip",
    ),
    "forwarded": (
        "http_x_forwarded_for", "x_forwarded_for", "request.headers.X-Forwarded-For",
        "request_X-Forwarded-For",
        "xff",
        "forwarded_for", "X-Forwarded-For",
    ),
    "time": (
        "time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "ts", "StartUTC",
        "EdgeStartTimestamp", "time", "start_time", "StartLocal",
    ),
    "first": ("request",),
    "method": (
        "request_method", "method", "request.method", "RequestMethod", "ClientRequestMethod", "verb",
        "http.request.method", "httpRequest.requestMethod", "properties.httpMethod", "cs-method",
    ),
    "target": (
        "request_uri", "uri", "request.uri", "RequestPath", "ClientRequestURI", "url", "path", "request_path",
        "url.original", "url.path", "httpRequest.requestUrl", "properties.requestUri",
    ),
    "status": (
        "status", "status_code", "response_code", "DownstreamStatus", "EdgeResponseStatus", "response",
        "http.response.status_code", "httpRequest.status", "properties.httpStatusCode", "response_status",
        "sc-status",
    ),
    "referrer": (
        "http_referer", "referer", "referrer", "http_referrer", "request.headers.Referer", "request_Referer",
        "ClientRequestReferer", "http.request.referrer", "httpRequest.referer", "properties.referer",
        "request_referer",
    ),
    "agent": (
        "http_user_agent", "user_agent.original", "user_agent", "agent", "request.headers.User-Agent",
        "request_User-Agent", "ClientRequestUserAgent", "useragent", "httpRequest.userAgent",
        "properties.userAgent", "request_user_agent", "userAgent",
    ),
    "host": (
        "http_host", "host", "vhost", "server_name", "request.host", "RequestHost", "ClientRequestHost",
        "authority", "url.domain", "properties.hostName",
    ),
}  # fmt: skip
"""For each part of a request where it may stand; the first name that is there counts. A dot goes deeper."""

Paths = Mapping[str, tuple[tuple[str, ...], ...]]
"""The same, each name taken apart."""

_PATHS: Paths = {part: tuple(tuple(name.split(".")) for name in names) for part, names in NAMES.items()}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class WrappedLine(Exception):
    """The object is none of an access log, and holds a line of another one: as text."""

    def __init__(self, line: str) -> None:
        self.line = line


def parse(line: str, paths: Paths = _PATHS) -> Request:
    """The request that a line tells of. Raises ValueError, without the line in its text, and WrappedLine."""
    try:
        line_of = _decode(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    target, method = _text(_find(line_of, paths, "target")), _text(_find(line_of, paths, "method"))
    first = _find(line_of, paths, "first")
    if isinstance(first, str) and not (method and target):  # "GET /page HTTP/1.1"
        method, target = combined.request_line(first)
    if not target:
        path, query = _text(_find(line_of, paths, "path")), _text(_find(line_of, paths, "query"))
        target = f"{path}?{query}" if path and query not in {"", "-"} else path
    if not method or not target:
        _unwrap(line_of)
        raise ValueError("no method and target of a request (names that are known: see the documentation)")
    at = any_time(_find(line_of, paths, "time"))
    status = _status(_find(line_of, paths, "status"))
    checked(at, status)
    forwarded, address = _text(_find(line_of, paths, "forwarded")), _text(_find(line_of, paths, "address"))
    return Request(
        combined.through_proxies(forwarded, address),
        at,
        method,
        target,
        status,
        none_if_dash(_text(_find(line_of, paths, "referrer"))),
        text(_agent(line_of, paths), USER_AGENT),
        _text(_find(line_of, paths, "host")),
    )


def _agent(line_of: dict[str, Any], paths: Paths) -> str:
    """The header; where the log has a place for it and the request had none, "-"; where it has none, ""."""
    found = _text(_find(line_of, paths, "agent"))
    if found:
        return found
    headers = _at(line_of, ("request", "headers"))
    has_place = isinstance(headers, dict) or any(
        _at(line_of, path) is not None for path in paths.get("agent", ())
    )
    return "-" if has_place else ""


def _unwrap(line_of: dict[str, Any]) -> None:
    """What Docker ("log") and shippers of logs ("message") wrote around a line. Raises WrappedLine."""
    for name in ("log", "message"):
        inner = line_of.get(name)
        if isinstance(inner, str) and inner.strip():
            raise WrappedLine(inner.strip())


def _find(line_of: dict[str, Any], paths: Paths, part: str) -> Any:
    for path in paths.get(part, ()):
        value = _at(line_of, path)
        if value is not None and value != "" and not isinstance(value, dict):
            return value
    return None


def _at(line_of: dict[str, Any], path: tuple[str, ...]) -> Any:
    if len(path) > 1 and (flat := line_of.get(".".join(path))) is not None:
        return flat
    value: Any = line_of
    for name in path:
        value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    """Text; of several values of a header all, as one header would say them."""
    if isinstance(value, list):
        value = ", ".join(each for each in cast("list[Any]", value) if isinstance(each, str))
    return value if isinstance(value, str) else ""


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:4])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("no status of an answer")
