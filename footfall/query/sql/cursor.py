"""Where a page of events ended, as a token that callers hand back.

A page that follows holds what comes after that place and was received no later than the
newest event of the first page, so that nothing moves while events come in. What was counted for the
first page is carried along: counting again would make paging through n events take n squared.
"""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec
from msgspec import Struct

from footfall.errors import Invalid
from footfall.model.times import Millis
from footfall.query.language.question import Question

_VERSION = 2
_PLACE = struct.Struct(">BqQQqQQQ")
_CHECK = 8  # bytes
LONGEST = 100


class Cursor(Struct, frozen=True):
    """The last event of a page, and when the newest event of the first page was received (ms).

    `total`: how many events all pages have; `sampled`: how many of them; both of the question with this
    digest (see `digest_of`), which a caller may have changed since.
    """

    occurred_at: Millis
    seq: int
    shard: int
    received_until: int
    total: int
    sampled: int
    question: int


def digest_of(question: Question) -> int:
    """Tells questions apart."""
    data = msgspec.msgpack.encode(question)
    return int.from_bytes(blake2b(data, digest_size=8).digest())


def write_cursor(cursor: Cursor, workspace_id: str) -> str:
    """The token."""
    place = _PLACE.pack(_VERSION, *msgspec.structs.astuple(cursor))
    return urlsafe_b64encode(place + _check(place, workspace_id)).decode().rstrip("=")


def read_cursor(token: str, workspace_id: str) -> Cursor:
    """What `write_cursor` wrote for this workspace. Raises Invalid."""
    try:
        data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        place, check = data[: _PLACE.size], data[_PLACE.size :]
        version, *parts = _PLACE.unpack(place)
    except (ValueError, binascii.Error, struct.error):
        version, parts, place, check = 0, [], b"", b""
    if version != _VERSION or check != _check(place, workspace_id):
        raise Invalid("cursor must be what meta.next_cursor of the page before it said", field="cursor")
    return Cursor(*parts)


def _check(place: bytes, workspace_id: str) -> bytes:
    """Tells a token that was changed, or is another workspace's. It guards no secret."""
    return blake2b(place, digest_size=_CHECK, key=workspace_id.encode()[:64]).digest()
