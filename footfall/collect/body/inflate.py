"""Undoing the compression of a body, in steps that hold nobody up (see `turns.py`)."""

import re
import zlib

from footfall.collect.body.turns import Steps, at_once
from footfall.errors import Invalid, TooLarge

_INFLATED = 256 << 10  # bytes in one step
_FIRST = 32 << 10  # and in the first one, which is all for most
# Bytes that are fed in one step: what is behind the end of a member is copied each time.
_FED = 4 << 10
_GZIP = 31  # `wbits` for a gzip member (https://zlib.net/manual.html#Advanced)
_PADDING = re.compile(rb"\0+")

UNCOMPRESSED = ("", "identity")


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the Content-Encoding. Raises TooLarge above `limit` bytes, Invalid for anything broken."""
    return at_once(inflate_in_steps(body, encoding, limit))


def inflate_in_steps(body: bytes, encoding: str, limit: int) -> Steps[bytes]:
    """The same in steps.

    A gzip body is one member or several (RFC 1952, section 2.2), which count together. Zeros behind a
    member are padding, as for gzip itself; anything else that is no member makes the body broken.
    """
    if encoding in UNCOMPRESSED:
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Invalid(
            f"Content-Encoding {encoding[:40]!r}: send gzip, or no encoding", field="Content-Encoding"
        )
    inflater = zlib.decompressobj(wbits=_GZIP)
    view = memoryview(body)
    parts: list[bytes] = []
    position = size = 0
    try:
        while position < len(body) and size <= limit:
            if inflater.eof:
                inflater = zlib.decompressobj(wbits=_GZIP)
            fed = view[position : position + _FED]
            step = _INFLATED if parts else _FIRST
            parts.append(inflater.decompress(fed, min(step, limit + 1 - size)))
            size += len(parts[-1])
            # At the end of a member both may hold the same.
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            position += len(fed) - len(rest)
            if inflater.eof and (padding := _PADDING.match(body, position)):
                position = padding.end()
            yield
    except zlib.error:
        raise Invalid(
            "the body is not gzip from beginning to end, though Content-Encoding says so",
            field="Content-Encoding",
        ) from None
    if size > limit:
        raise TooLarge(f"the body inflates to more than {limit} bytes")
    if not inflater.eof:
        raise Invalid("the gzip body breaks off", field="Content-Encoding")
    return b"".join(parts)
