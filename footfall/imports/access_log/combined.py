r"""The combined log format of Apache and nginx, and its relatives.

    203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 5316 "REFERRER" "USER AGENT" ...

Taken as well: the common format (without the last two), a virtual host in front (`vhost_combined`) or in the
second place (lighttpd), a list of addresses in front, numbers and names between size and referrer, further
fields behind, of which the first may be the list of `X-Forwarded-For` (nginx's `main`), and a last line that
was cut off in its user agent. Anything else is no line of it: no part of a line is taken for another.
Source: Apache's documentation of mod_log_config; nginx writes `"` and controls as `\xHH`.
"""

import re

from footfall.enrich.address import client_address
from footfall.imports.access_log.request import USER_AGENT, Request, agent_of, checked, clf_time, text

# Between quotes: anything but quotes, unless after a backslash.
_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)'
_LINE = re.compile(
    # A name in front is a virtual host only where an address follows; without that the client's own.
    r"(?:([\w.-]+(?::\d{1,5})?) (?=[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*[, ]))?([^\s,\[]+(?:, ?[^\s,\[]+)*) "
    r"(\S+) ([^\[]*?) ?\[([^\]]*)\] "
    rf'{_QUOTED}" ([0-9]{{3}}) \S+'
    rf'(?:((?: [^\s"]+){{0,8}}) {_QUOTED}" {_QUOTED}(?:"(.*)|$)|((?: [0-9][0-9.:]*| -)*)$)'
)
_FORWARDED = re.compile(r'\s*"([0-9A-Fa-f.:, -]+)"')
# What Traefik writes behind: without its own settings it logs no header, and "-" says nothing.
_TRAEFIK = re.compile(r' \d+ "[^"]*" "[^"]*" \d+ms')
_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+\.?(?::\d+)?")
# A user agent as programs name themselves; and a URL alone, which is none.
_AGENT = re.compile(r'"(?:Mozilla/|[A-Za-z][\w.-]*/\d[^"]*\()')
_URL = re.compile(r"https?://\S+")
_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_ESCAPE = re.compile(r'\\(x[0-9A-Fa-f]{2}|[\\"nrtbvf])')
_ESCAPED = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "v": b"\v", "f": b"\f", '"': b'"', "\\": b"\\"}


def parse(line: str) -> Request:
    """The request that a line tells of. Raises ValueError, without the line in its text."""
    found = _LINE.match(line)
    if found is None:
        raise ValueError("not a line of the combined log format")
    host, address, ident, user, time, first, status, _, referrer, agent, rest, _ = found.groups()
    client, host = _client(host or "", address, ident, user)
    if rest and '"' in rest and (forwarded := _FORWARDED.match(rest)):
        client = through_proxies(forwarded[1], client)
    if rest and (_URL.fullmatch(agent) or (_AGENT.search(rest) and not _AGENT.match(f'"{agent}'))):
        raise ValueError("there are other fields between size and referrer than the combined log format has")
    at, code = clf_time(time), int(status)
    checked(at, code)
    method, target = request_line(unescape(first) if "\\" in first else first)
    if agent is None:
        agent = ""
    elif agent == referrer == "-" and _TRAEFIK.match(rest or ""):
        agent = referrer = ""
    else:
        agent = agent_of(unescape(agent) if "\\" in agent else agent)
    return Request(
        client,
        at,
        method,
        target,
        code,
        "" if not referrer else unescape(referrer) if "\\" in referrer else referrer,
        text(agent, USER_AGENT),
        host,
    )


def request_line(first: str) -> tuple[str, str]:
    """Method and target of "GET /page HTTP/1.1"."""
    method, _, rest = first.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    # Without a protocol it is of HTTP/0.9, or cut off.
    return method, target if protocol.startswith("HTTP/") else rest


def through_proxies(forwarded: str, peer: str) -> str:
    """The client, where proxies may have asked for it: `forwarded` names them, `peer` is the last of them."""
    return client_of(peer) if forwarded in {"", "-"} else client_address(f"{forwarded}, {peer}")


def client_of(written: str) -> str:
    """The client as a log's first field names it: an address, a name that was looked up; "" for neither."""
    return client_address(written) or (written if _HOST_NAME.fullmatch(written) else "")


def _client(host: str, address: str, ident: str, user: str) -> tuple[str, str]:
    """Client and host. Raises ValueError where the fields before the time are others than they should be."""
    if ident != "-" and _HOST_NAME.fullmatch(ident) and not host:
        ident, host = "-", ident  # as lighttpd writes it
    if (ident != "-" and ":" in ident) or (" - " in f" {user} " and user != "-"):
        raise ValueError("there are other fields before the time than the combined log format has")
    if host and _ADDRESS.fullmatch(host):
        return "", ""  # two addresses: which of them is the client's, nobody knows
    return client_of(address), host


def unescape(written: str) -> str:
    """Without the escapes of the log: bytes that are UTF-8, or else Latin-1."""
    data = b""
    at = 0
    for found in _ESCAPE.finditer(written):
        what = found[1]
        data += written[at : found.start()].encode("utf-8", "replace")
        data += bytes.fromhex(what[1:]) if what[0] == "x" else _ESCAPED[what]
        at = found.end()
    data += written[at:].encode("utf-8", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
