"""Long bodies of imports: read beside the event loop, piece by piece.

One call of a decoder on 16 MiB takes up to 80 ms and lets nobody else run, in whatever thread. So the two
lists, which are what is long, are decoded a part at a time, and the rest is read like any other body.
"""

import asyncio
import re
from typing import Any, cast

import msgspec
from litestar import Request

from footfall.api.problems import decode_strictly
from footfall.errors import Invalid, TooLarge
from footfall.imports.clicks.chunk import LONGEST_LINE, MAX_LINES

_LISTS: dict[str, Any] = {"lines": list[str], "occurrences": list[int]}
_MEMBERS = 50
_SHORT = 64 << 10  # bytes of a member that is no such list
_PART = 64 << 10  # bytes that are decoded in one call
_LONGEST = 12 * LONGEST_LINE  # bytes: a character takes 12 at most, as in \ud83d\ude00

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_ONE = rb'(?:[^"\[\]{},]++|' + _STRING + rb")*+"
_ELEMENT = re.compile(_ONE, re.DOTALL)
_ELEMENTS = re.compile(rb"(?:" + _ONE + rb",)*+", re.DOTALL)
_START = re.compile(rb"\s*+\{")
_LIST = re.compile(rb'\s*+"(lines|occurrences)"\s*+:\s*+\[')
_OTHER = re.compile(
    rb'\s*+"[^"\\]*+"\s*+:\s*+(?:[^"{}\[\],]++|' + _STRING + rb'|\[(?:[^"{}\[\]]++|' + _STRING + rb")*+\])",
    re.DOTALL,
)
_BEHIND = re.compile(rb"\s*+([,}])")


class LongRequest(Request[Any, Any, Any]):
    """A request with such a body; `read_long_body` comes first."""

    async def json(self) -> Any:
        """What was read."""
        return self.state.read


async def read_long_body(request: Request[Any, Any, Any]) -> None:
    """For `before_request`, with `request_class=LongRequest`: `strict_body` for long bodies.

    Raises Invalid, TooLarge.
    """
    body = await request.body()
    # It may have taken its time, and the key was revoked meanwhile.
    await cast("Any", request.route_handler).authorize_connection(request)
    data = cast("Any", request.route_handler.parsed_data_field)
    request.state.read = await asyncio.to_thread(read, body, data.annotation)


def read(body: bytes, kind: Any) -> Any:
    """The `kind`, which has both lists, that a body says. Raises Invalid, TooLarge."""
    if len(body) <= _SHORT:
        return decode_strictly(body, kind)  # which names what is wrong
    start = _START.match(body, 0, _SHORT)
    if start is None or _BEHIND.match(body, start.end(), start.end() + _SHORT):
        return decode_strictly(body[:_SHORT], kind)  # which says what it is
    at = start.end()
    rest: list[bytes] = []
    lists: dict[str, Any] = {}
    for _ in range(_MEMBERS):
        if name := _LIST.match(body, at, at + _SHORT):
            field = name[1].decode()
            lists[field], at = _list(body, name.end(), field)
        elif other := _OTHER.match(body, at, at + _SHORT):
            rest.append(other[0])
            at = other.end()
        elif len(body) - at > _SHORT:
            raise TooLarge(f"the body has a field other than its lines with more than {_SHORT} bytes")
        else:
            raise _broken(", or has an object or a list of lists in it")
        behind = _BEHIND.match(body, at, at + _SHORT)
        if behind is None:
            raise _broken()
        at = behind.end()
        if behind[1] == b"}":
            break
    else:
        raise TooLarge(f"the body has more than {_MEMBERS} fields")
    rest += [b'"%b":[]' % field.encode() for field in lists]
    short = decode_strictly(b"{%b}%b" % (b",".join(rest), body[at : at + _SHORT]), kind)
    return msgspec.structs.replace(short, **lists)


def _list(body: bytes, at: int, field: str) -> tuple[list[Any], int]:
    """The list of which the first element begins at `at`, and where it ends."""
    found: list[Any] = []
    first = at
    while True:
        begin = at
        part, at = _part(body, at)
        is_last = body[at - 1 : at] == b"]"
        if not part.strip():
            if is_last and begin == first:
                return found, at
            raise _broken()
        try:
            found += decode_strictly(b"[%b]" % part, _LISTS[field])
        except Invalid as error:
            place = f"{field}[{len(found) + int(error.field.strip('[]'))}]" if error.field else ""
            raise Invalid(str(error), field=place) from None
        if len(found) > MAX_LINES:
            raise Invalid(f"Expected at most {MAX_LINES} entries", field=field)
        if is_last:
            return found, at


def _part(body: bytes, at: int) -> tuple[bytes, int]:
    """Some elements from `at` on, and where the comma or bracket behind them ends."""
    end = _end(_ELEMENTS, body, at, at + _PART)
    if end > at:
        return body[at : end - 1], end
    end = _end(_ELEMENT, body, at, at + _LONGEST)
    behind = body[end : end + 1]
    if behind in (b",", b"]"):
        return body[at:end], end + 1
    if behind in (b"[", b"{"):  # that it is one is enough to refuse it
        return body[at:end] + (b"[]" if behind == b"[" else b"{}"), end + 1
    if len(body) - at > _LONGEST:
        raise TooLarge(f"a line is longer than {LONGEST_LINE} characters")
    raise _broken()


def _end(pattern: re.Pattern[bytes], body: bytes, at: int, stop: int) -> int:
    """Where a pattern that matches anywhere ends."""
    match = pattern.match(body, at, stop)
    return match.end() if match else at


def _broken(why: str = "") -> Invalid:
    return Invalid(f"the body is not valid JSON{why}")
