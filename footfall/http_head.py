"""What the head of a request says: its target, its host, how its body is framed. Pure functions."""

import re
from functools import lru_cache
from urllib.parse import unquote

import httptools

Headers = list[tuple[bytes, bytes]]

_HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_LONGEST_HOST = 300


class Wrong(Exception):
    """A head that cannot be answered."""


class WrongHost(Wrong):
    """No host, two, or none that there can be."""


def read_target(url: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Path, path as it was sent, query, and the host of a target that names one (else b""). Raises Wrong."""
    host = b""
    if not url.startswith(b"/"):  # as proxies are asked
        try:
            parts = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise Wrong from None
        if not parts.host or parts.schema not in (b"http", b"https"):
            raise Wrong
        host = parts.host + (b":%d" % parts.port if parts.port else b"")
        url = (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")
    raw, _, query = url.partition(b"#")[0].partition(b"?") if b"#" in url else url.partition(b"?")
    try:
        path = raw.decode("ascii")
    except UnicodeDecodeError:
        raise Wrong from None
    return unquote(path) if "%" in path else path, raw, query, host


def check_host(headers: Headers, version: str) -> None:
    """Raises WrongHost. Only HTTP/1.0 may do without."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        if hosts or version != "1.0":
            raise WrongHost
    elif len(hosts[0]) > _LONGEST_HOST or not _is_host(hosts[0]):
        raise WrongHost


@lru_cache(1024)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def with_host(headers: Headers, host: bytes) -> Headers:
    """The host of the target counts, not that of the header."""
    return [(name, host if name == b"host" else value) for name, value in headers]


def expects_continue(headers: Headers) -> bool:
    """Whether the client waits for a word before it sends the body."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def framing(headers: Headers) -> bytes:
    """A head that says of its body what these headers say; b"" if there is none."""
    said = [b"%b: %b\r\n" % each for each in headers if each[0] in (b"content-length", b"transfer-encoding")]
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(said) if said else b""


def size_of(url: bytes, headers: Headers) -> int:
    """Bytes of a head, about."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
