r"""From the bytes of a request to its events: the four shapes of a body.

    {"events": [...]}      with site_id and queue_id beside it, if wanted
    [...]                  a bare array
    {...}\n{...}\n           NDJSON
    {...}                  a single event

A body that cannot be read at all is refused whole; an event that cannot be read is refused
alone. What may take long is done in steps (see `turns.py`): only what is small and in our own
spelling is decoded in one go.
"""

import re
from collections.abc import Sequence
from io import BytesIO
from typing import TypeVar

import msgspec
from msgspec import Struct

from footfall.collect.body.incoming import Envelope, Incoming, RawEnvelope, decode_event
from footfall.collect.body.mend import SURROGATES, mend
from footfall.collect.body.split import split
from footfall.collect.body.turns import Steps, at_once
from footfall.errors import Invalid, TooLarge

T = TypeVar("T")


class DecodedEvents(Struct):
    """The events of one request, in order: each decoded, or why not."""

    events: Sequence[Incoming | Invalid]
    site_id: str = ""
    queue_id: str = ""
    source: str = ""


class BodyLimits(Struct, frozen=True):
    """What one request may hold: so many events, each of `event` bytes once it is encoded again."""

    events: int
    event: int = 64 << 10


_envelope = msgspec.json.Decoder(Envelope)
_array = msgspec.json.Decoder(list[Incoming])
_raw_envelope = msgspec.json.Decoder(RawEnvelope)
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_array = msgspec.json.Decoder(list[msgspec.Raw])

# What one call may decode without holding up others: so many bytes into objects; or into bytes, if it
# is not many values. A float with a long mantissa or exponent takes a hundred times as long as any other.
_SMALL = 32 << 10
_SMALL_RAW = 1 << 20
_FEW_VALUES = 20_000

# Decoding builds objects many times larger than their text: above a size the body is first held
# against how many values its events could have.
_LARGE = 1 << 20
_VALUES = 300

# Lists and objects of one event; those of all events that have more than a few. While many live, the
# collector of garbage takes its time.
_CONTAINERS_OF_ONE = 5000
_FEW_CONTAINERS = 50
_CONTAINERS = 20_000

_SHORT = 16 << 10  # bytes of an event that needs no look at what it may hold
_ESCAPED = 8  # times as long may an event be as it is once it is encoded again: \u0041 for A
_HARD_NUMBER = re.compile(rb"[0-9.]{20}[0-9]|[0-9][eE][-+]?(?:[2-9][0-9]|[0-9]{3})")
_HARD_NUMBERS = 500
_WINDOW = 64 << 10  # bytes that are searched in one step
_START = 4096  # bytes in which a body must begin, behind spaces
_MEMBERS = 1000  # of an envelope, or of an event that stands alone

# UnicodeDecodeError is a ValueError.
_BROKEN = (msgspec.DecodeError, ValueError, RecursionError)
_LINES = ("ndjson", "jsonl", "jsonlines", "json-seq")
_BESIDE = frozenset({b"site_id", b"site", b"siteId", b"queue_id", b"source"})
_NAME = re.compile(rb'\s*+"(\w{1,20})"\s*+:\s*+')


def decode(body: bytes, content_type: str, max_events: int) -> DecodedEvents:
    """Decode a body of any shape. Raises Invalid when it has none of them, TooLarge for too many events."""
    limits = BodyLimits(max_events)
    return decode_small(body, content_type, limits) or at_once(decode_in_steps(body, content_type, limits))


def decode_small(body: bytes, content_type: str, limits: BodyLimits) -> DecodedEvents | None:
    """A small body whose events are all in our own spelling, in one go; None if it is another.

    Raises TooLarge for too many events.
    """
    if len(body) > _SMALL or _says_lines(content_type):
        return None
    start = body[:_START].lstrip()[:1]
    try:
        if start == b"[":
            return _limited(DecodedEvents(_array.decode(body)), limits)
        if start == b"{":
            envelope = _envelope.decode(body)
            return _limited(
                DecodedEvents(
                    envelope.events, envelope.site_id or "", envelope.queue_id or "", envelope.source or ""
                ),
                limits,
            )
    except _BROKEN:
        pass  # not all in our own spelling, or broken: the slow way says which
    return None


def decode_in_steps(body: bytes, content_type: str, limits: BodyLimits) -> Steps[DecodedEvents]:
    """Any body. Raises Invalid when it is none, TooLarge for too many events."""
    if _says_lines(content_type):
        return (yield from _lines(body, limits))
    yield from _check_amount(body, limits)
    yield
    start = body[:_START].lstrip()[:1]
    if start == b"[":
        return DecodedEvents((yield from _array_of(body, limits)))
    if start == b"{":
        return (yield from _object(body, limits))
    raise Invalid('the body must be JSON: {"events": [...]}, an array of events, or one event a line')


def _check_amount(body: bytes, limits: BodyLimits) -> Steps[None]:
    if len(body) > _LARGE:
        many = limits.events * _VALUES
        too_many = body.count(b",") > many
        yield
        if too_many or _containers(body) > many:
            raise TooLarge(f"the body holds more values than {limits.events} events can have")


def _containers(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _says_lines(content_type: str) -> bool:
    return any(word in content_type for word in _LINES)


def _limited(batch: DecodedEvents, limits: BodyLimits) -> DecodedEvents:
    if len(batch.events) > limits.events:
        raise _too_many(len(batch.events), limits)
    return batch


def _too_many(count: int, limits: BodyLimits) -> TooLarge:
    return TooLarge(f"{count} events in one request; at most {limits.events} are allowed")


def _array_of(body: bytes, limits: BodyLimits) -> Steps[list[Incoming | Invalid]]:
    raws = _take_apart(_raw_array, body)
    if raws is None:
        return (yield from _split_events(body, body.index(b"["), limits))
    return (yield from _each(raws, limits))


def _object(body: bytes, limits: BodyLimits) -> Steps[DecodedEvents]:
    if (yield from _is_lines(body)):
        return (yield from _lines(body, limits))
    try:
        envelope = _take_apart(_raw_envelope, body)
    except msgspec.ValidationError:
        return DecodedEvents(
            [(yield from _one(body, limits))]
        )  # an object without a list of events: a single event
    if envelope is None:
        return (yield from _split_envelope(body, limits))
    events = yield from _each(envelope.events, limits)
    return DecodedEvents(events, envelope.site_name, envelope.queue_id or "", envelope.source or "")


def _take_apart(decoder: msgspec.json.Decoder[T], text: bytes) -> T | None:
    """What `decoder` makes of it in one call.

    None where that would take long, or one event would cost the others: nested too deeply, or half an
    emoji. Raises Invalid for what is no JSON.
    """
    if len(text) > _SMALL_RAW or text.count(b",") > _FEW_VALUES or _containers(text) > _FEW_VALUES:
        return None
    try:
        return decoder.decode(text)
    except RecursionError:
        return None
    except msgspec.ValidationError:
        raise
    except ValueError as error:
        if SURROGATES.search(text):
            return None
        raise _not_json(error) from None


def _split_events(
    body: bytes, start: int, limits: BodyLimits, *, last: bool = True
) -> Steps[list[Incoming | Invalid]]:
    """The events of the array that begins at `start`; `last`: nothing may follow it."""
    members, end = yield from split(body, start, limits.events)
    if last and body[end:].strip():
        raise _not_json("something follows its end")
    return (yield from _each([body[begin:stop] for begin, stop in members], limits))


def _split_envelope(body: bytes, limits: BodyLimits) -> Steps[DecodedEvents]:
    members, end = yield from split(body, body.index(b"{"), _MEMBERS)
    if body[end:].strip():
        raise _not_json("something follows its end")
    values = {
        name[1]: (name.end(), stop)
        for begin, stop in members
        if (name := _NAME.match(body, begin, stop)) is not None
    }
    start, _ = values.get(b"events", (0, 0))
    if not body.startswith(b"[", start):
        return DecodedEvents([(yield from _one(body, limits))])
    beside = b",".join(
        b'"%s":%s' % (name, body[begin:stop])
        for name, (begin, stop) in values.items()
        if name in _BESIDE and stop - begin <= _MEMBERS
    )
    try:
        envelope = _raw_envelope.decode(b'{"events":[]%s%s}' % (b"," if beside else b"", beside))
    except _BROKEN as error:
        raise _not_json(error) from None
    events = yield from _split_events(body, start, limits, last=False)
    return DecodedEvents(events, envelope.site_name, envelope.queue_id or "", envelope.source or "")


def _not_json(why: object) -> Invalid:
    return Invalid(f"the body is not valid JSON: {why}")


def _is_lines(body: bytes) -> Steps[bool]:
    """Whether the first line is a whole object and more follows: NDJSON that does not say so."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest:
        return False
    try:
        if _take_apart(_raw_object, first) is not None:
            return True
        _, end = yield from split(first, 0, 0)
    except (Invalid, msgspec.ValidationError):
        return False
    return not first[end:].strip()


def _lines(body: bytes, limits: BodyLimits) -> Steps[DecodedEvents]:
    if b"\r" in body:
        body = body.replace(b"\r", b"\n")
        yield
    if body.count(b"\n") > 2 * limits.events:
        raise TooLarge(f"more than {limits.events} lines in one request")
    lines: list[bytes] = []
    for line in BytesIO(body):
        if text := line.strip():
            lines.append(text)
        yield
    return DecodedEvents((yield from _each(lines, limits)))


def _each(texts: Sequence[bytes | msgspec.Raw], limits: BodyLimits) -> Steps[list[Incoming | Invalid]]:
    if len(texts) > limits.events:
        raise _too_many(len(texts), limits)
    events: list[Incoming | Invalid] = []
    containers = 0
    for text in map(bytes, texts):
        yield
        if (its := _containers(text)) > _FEW_CONTAINERS:
            containers += its
        if containers > _CONTAINERS and its > _FEW_CONTAINERS:
            events.append(TooLarge("the events of this request have too many lists and objects; send fewer"))
        else:
            events.append((yield from _one(text, limits)))
    return events


def _one(text: bytes, limits: BodyLimits) -> Steps[Incoming | Invalid]:
    """One event, or why it is none."""
    if _containers(text) > _CONTAINERS_OF_ONE or (
        len(text) > _SHORT and (yield from _is_too_much(text, limits))
    ):
        return TooLarge(f"the event is too large: {limits.event} bytes are allowed")
    try:
        return decode_event(text)
    except Invalid as error:
        mended = yield from mend(text)
        if mended is text:
            return error
    try:
        return decode_event(mended)
    except Invalid as error:
        return error


def _is_too_much(text: bytes, limits: BodyLimits) -> Steps[bool]:
    """Whether it cannot become an event that is small enough, or would take long to decode."""
    # What separates values is kept with them.
    if len(text) > _ESCAPED * limits.event or text.count(b",") > limits.event:
        return True
    hard = 0
    for start in range(0, len(text), _WINDOW):
        yield
        hard += len(_HARD_NUMBER.findall(text, start, start + _WINDOW))
    return hard > _HARD_NUMBERS
