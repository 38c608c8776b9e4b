r"""From the bytes of a request to its events: gzip, and the four shapes of a body.

    {"events": [...]}      with site_id and queue_id beside it, if wanted
    [...]                  a bare array
    {...}\n{...}\n           NDJSON
    {...}                  a single event

A body that cannot be read at all is refused whole; an event that cannot be read is refused
alone.
"""

import re
import zlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from footfall.collect.incoming import Envelope, Incoming, RawEnvelope, decode_event
from footfall.errors import Invalid, TooLarge


class Batch(Struct):
    """The events of one request, in order: each decoded, or why not."""

    events: Sequence[Incoming | Invalid]
    site_id: str = ""
    queue_id: str = ""


_envelope = msgspec.json.Decoder(Envelope)
_array = msgspec.json.Decoder(list[Incoming])
_raw_envelope = msgspec.json.Decoder(RawEnvelope)
_raw_array = msgspec.json.Decoder(list[msgspec.Raw])

# Decoding builds objects many times larger than their text: above this size the body is first
# held against how many values its events could have, and each event is decoded alone.
_LARGE = 1 << 20
_VALUES = 300

# UnicodeDecodeError is a ValueError.
_BROKEN = (msgspec.DecodeError, ValueError, RecursionError)
_LINES = ("ndjson", "jsonl", "jsonlines", "json-seq")


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the Content-Encoding. Raises TooLarge above `limit` bytes, Invalid for anything broken."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Invalid(
            f"Content-Encoding {encoding[:40]!r}: send gzip, or no encoding", field="Content-Encoding"
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise Invalid(
            "the body is not gzip, though Content-Encoding says so", field="Content-Encoding"
        ) from None
    if len(data) > limit:
        raise TooLarge(f"the body inflates to more than {limit} bytes")
    if not inflater.eof:
        raise Invalid("the gzip body breaks off", field="Content-Encoding")
    return data


def decode(body: bytes, content_type: str, max_events: int) -> Batch:
    """Decode a body of any shape. Raises Invalid when it has none of them, TooLarge for too many events."""
    if any(word in content_type for word in _LINES):
        return _lines(_ESCAPE.sub(_mend, body), max_events)
    start = body.lstrip()[:1]
    large = len(body) > _LARGE
    if large and body.count(b",") > max_events * _VALUES:
        raise TooLarge(f"the body holds more values than {max_events} events can have")
    if not large:
        try:
            if start == b"[":
                return _limited(Batch(_array.decode(body)), max_events)
            if start == b"{":
                envelope = _envelope.decode(body)
                return _limited(
                    Batch(envelope.events, envelope.site_id or "", envelope.queue_id or ""), max_events
                )
        except _BROKEN:
            pass  # not all in our own spelling, or broken: the slow way says which
    body = _ESCAPE.sub(_mend, body)
    if start == b"[":
        return _slow_array(body, max_events)
    if start == b"{":
        return _slow_object(body, max_events)
    raise Invalid('the body must be JSON: {"events": [...]}, an array of events, or one event a line')


# Every escape in turn, so that the second half of an escaped backslash is never taken for one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u[dD][c-fC-F][0-9a-fA-F]{2}|.)"
)


def _mend(match: re.Match[bytes]) -> bytes:
    """Half an emoji, as a script that cuts strings sends it: U+FFFD, as a browser would encode it."""
    whole = match["low"] or len(match.group()) == 2
    return match.group() if whole else rb"\ufffd"


def _limited(batch: Batch, max_events: int) -> Batch:
    if len(batch.events) > max_events:
        raise TooLarge(f"{len(batch.events)} events in one request; at most {max_events} are allowed")
    return batch


def _one(data: bytes | memoryview) -> Incoming | Invalid:
    try:
        return decode_event(data)
    except Invalid as error:
        return error


def _each(raws: Sequence[msgspec.Raw], max_events: int) -> list[Incoming | Invalid]:
    if len(raws) > max_events:
        raise TooLarge(f"{len(raws)} events in one request; at most {max_events} are allowed")
    return [_one(memoryview(raw)) for raw in raws]


def _slow_array(body: bytes, max_events: int) -> Batch:
    try:
        return Batch(_each(_raw_array.decode(body), max_events))
    except _BROKEN as error:
        raise Invalid(f"the body is not valid JSON: {error}") from None


def _slow_object(body: bytes, max_events: int) -> Batch:
    if _is_lines(body):
        return _lines(body, max_events)
    try:
        envelope = _raw_envelope.decode(body)
    except msgspec.ValidationError:
        return Batch([_one(body)])  # an object without a list of events: a single event
    except _BROKEN as error:
        raise Invalid(f"the body is not valid JSON: {error}") from None
    site = envelope.site_id or envelope.site or ""
    return Batch(_each(envelope.events, max_events), site, envelope.queue_id or "")


def _is_lines(body: bytes) -> bool:
    """Whether the first line is a whole object and more follows: NDJSON that does not say so."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest:
        return False
    try:
        msgspec.json.decode(first, type=dict[str, msgspec.Raw])
    except _BROKEN:
        return False
    return True


def _lines(body: bytes, max_events: int) -> Batch:
    if body.count(b"\n") + body.count(b"\r") > 2 * max_events:
        raise TooLarge(f"more than {max_events} lines in one request")
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) > max_events:
        raise TooLarge(f"{len(lines)} lines in one request; at most {max_events} are allowed")
    return Batch([_one(line) for line in lines])
