"""Taking JSON apart without reading it: where the members of an array or an object are.

No recursion, so nothing is nested too deeply for it, and in steps, so that nothing is too long. What
it finds is not known to be JSON: each member is decoded on its own.
"""

import re
from itertools import count

from footfall.collect.body.turns import Steps
from footfall.errors import Invalid, TooLarge

# What is looked at in one step: about so many bytes, or so many brackets.
_WINDOW = 32 << 10
_BRACKETS = 500

# What is passed over in one go: no bracket and no comma (or no bracket), whole texts, and lists and objects
# of numbers; and the inside of a text.
_WHOLE = rb'"(?:[^"\\]++|\\.)*+"|\[[^"{}\[\]]*+\]|\{[^"{}\[\]]*+\}'
_FLAT = re.compile(rb'(?:[^"{}\[\],]++|' + _WHOLE + rb")*+", re.DOTALL)
_DEEP = re.compile(rb'(?:[^"{}\[\]]++|' + _WHOLE + rb")*+", re.DOTALL)
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)

_OPENING = re.compile(rb"[\[{]*+")
_CLOSING = re.compile(rb"[\]}]*+")

Place = tuple[int, int]
"""Of a member: where it begins, and where it ends."""


def split(body: bytes, start: int, most: int) -> Steps[tuple[list[Place], int]]:
    """The members of the array or object whose bracket stands at `start`, and where it ends.

    Raises TooLarge when there are more than `most`, Invalid when it does not end. With `most` 0
    nobody wants the members.
    """
    members: list[Place] = []
    begin = at = seen = start + 1
    depth = 1
    for turn in count(1):
        at = _end(_FLAT if depth == 1 else _DEEP, body, at)
        kind = body[at : at + 1]
        if kind == b'"':  # of a string that is longer than the window
            at = yield from _end_of_string(body, at + 1)
        elif kind == b"," and depth == 1:
            if most:
                _add(members, (begin, at), most)
            begin = at = at + 1
        elif kind:
            deeper, higher = _end(_OPENING, body, at) - at, min(_end(_CLOSING, body, at) - at, depth)
            at += deeper + higher
            depth += deeper - higher
            if not depth:
                break
        else:
            raise Invalid("the body is not valid JSON: it breaks off")
        if at - seen >= _WINDOW or not turn % _BRACKETS:
            seen = at
            yield
    if most and (members or body[begin : at - 1].strip()):
        members.append((begin, at - 1))
    return members, at


def _end(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    """Where a pattern that matches anywhere ends, within the window."""
    match = pattern.match(body, at, at + _WINDOW)
    return match.end() if match else at


def _add(members: list[Place], member: Place, most: int) -> None:
    members.append(member)
    if len(members) >= most:
        raise TooLarge(f"more than {most} in one request, which is the most allowed")


def _end_of_string(body: bytes, at: int) -> Steps[int]:
    """Behind the string whose inside begins at `at`."""
    while True:
        begin = at
        at = _end(_INSIDE, body, at)
        if body[at : at + 1] == b'"':
            return at + 1
        if at == begin:
            raise Invalid("the body is not valid JSON: a text breaks off")
        yield
