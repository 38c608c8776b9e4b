r"""The combined log format of Apache and nginx, and its relatives.

    203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 5316 "REFERRER" "USER AGENT" ...

Taken as well: the common format (without the last two), a virtual host in front
(`vhost_combined`), further fields behind, and a last line that was cut off in its user agent.
Source: Apache's documentation of mod_log_config; nginx writes `"` and controls as `\xHH`.
"""

import re

from footfall.imports.access_log.request import USER_AGENT, Request, checked, clf_time, text

# Between quotes: anything but quotes, unless after a backslash.
_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|$)'
_LINE = re.compile(
    # A name in front is a virtual host only where an address follows; without that the client's own.
    r"(?:(\S+) (?=[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]* ))?(\S+) [^\[]*\[([^\]]*)\] "
    rf"{_QUOTED} ([0-9]{{3}}) \S+(?: {_QUOTED} {_QUOTED})?"
)
_ESCAPE = re.compile(r'\\(x[0-9A-Fa-f]{2}|[\\"nrtbvf])')
_ESCAPED = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "v": b"\v", "f": b"\f", '"': b'"', "\\": b"\\"}


def parse(line: str) -> Request:
    """The request that a line tells of. Raises ValueError, without the line in its text."""
    found = _LINE.match(line)
    if found is None:
        raise ValueError("not a line of the combined log format")
    host, address, time, first, status, referrer, agent = found.groups()
    method, _, rest = first.partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        target = rest  # of HTTP/0.9, or cut off
    at, code = clf_time(time), int(status)
    checked(at, code)
    return Request(
        address,
        at,
        method,
        unescape(target) if "\\" in target else target,
        code,
        "" if not referrer else unescape(referrer) if "\\" in referrer else referrer,
        "" if not agent else text(unescape(agent) if "\\" in agent else agent, USER_AGENT),
        host or "",
    )


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
