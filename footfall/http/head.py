"""What the head of a request says: its target, its host, how its body is framed. Pure functions."""

import re
from functools import lru_cache
from urllib.parse import unquote

import httptools

Headers = list[tuple[bytes, bytes]]

_HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_LONGEST_HOST = 300
_LONGEST_PATH = 4096


class WrongHead(Exception):
    """A head that cannot be answered."""


class WrongHost(WrongHead):
    """No host, two, or none that there can be."""


def read_target(url: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Path, path as sent, query, and the host of a target that names one (else b""). Raises WrongHead."""
    host = b""
    if not url.startswith(b"/"):  # as proxies are asked
        try:
            parts = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise WrongHead from None
        if not parts.host or parts.userinfo or parts.schema.lower() not in (b"http", b"https"):
            raise WrongHead
        host = parts.host + (b":%d" % parts.port if parts.port else b"")
        url = (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")
    raw, _, query = url.partition(b"#")[0].partition(b"?") if b"#" in url else url.partition(b"?")
    try:
        path = raw.decode("ascii")
    except UnicodeDecodeError:
        raise WrongHead from None
    # A longer one is nobody's, and to spell it out takes long.
    return unquote(path) if "%" in path and len(path) <= _LONGEST_PATH else path, raw, query, host


def check_headers(headers: Headers, version: str) -> bool:
    """Whether the client waits for a word before it sends the body.

    Raises WrongHost, WrongHead. Only HTTP/1.0 may do without a host. A body is framed by its length or by
    chunks alone, and HTTP/1.0 knows no chunks: what a proxy in front could read otherwise is no request.
    """
    hosts, expects = 0, False
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if len(value) > _LONGEST_HOST or not _is_host(value):
                raise WrongHost
        elif name == b"expect":
            expects = value.lower() == b"100-continue"
        elif name == b"transfer-encoding" and (version == "1.0" or value.strip().lower() != b"chunked"):
            raise WrongHead
    if hosts != 1 and (hosts or version != "1.0"):
        raise WrongHost
    return expects


@lru_cache(1024)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def with_host(headers: Headers, host: bytes) -> Headers:
    """The host of the target counts, not that of the header."""
    return [(name, host if name == b"host" else value) for name, value in headers]


def framing(headers: Headers) -> bytes:
    """A head that says of its body what these headers say; b"" if there is none."""
    said = [b"%b: %b\r\n" % each for each in headers if each[0] in (b"content-length", b"transfer-encoding")]
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(said) if said else b""


def size_of(url: bytes, headers: Headers) -> int:
    """Bytes of a head, about."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
