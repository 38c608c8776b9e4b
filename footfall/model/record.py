"""What is written to the log: one record a request (or a group of clicks).

A record may be read seven days and an upgrade later, so it starts with its format version,
fields are only ever appended to the Structs below, each with a default, and
`decode` understands every version ever released.

Never in a record: an IP address, a key, or a byte of the request that was not validated.
"""

from collections import Counter
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from footfall.model.reasons import Reason
from footfall.model.times import Millis

FORMAT_VERSION = 1

# Position of an event: its record's offset x SEQ_PER_RECORD + its index in the record.
SEQ_PER_RECORD = 4096

# Sources of records that anybody may cause, without a key.
WITHOUT_KEY = ("beacon", "redirect", "pixel")

_OUR_SOURCES = frozenset({"api", *WITHOUT_KEY, "import", "topic"})


def is_our_source(word: str) -> bool:
    """Whether a source is one that Footfall alone says of a record: no sender may call itself so."""
    return word.partition(":")[0].strip().lower() in _OUR_SOURCES


NIL_ID = b"\0" * 16


class Told(NamedTuple):
    """What a keyed sender says itself of the visitor's program; "" and None where it says nothing."""

    device_type: str = ""
    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    is_bot: bool | None = None
    bot_name: str = ""


NOTHING_TOLD = Told()


class SenderContext(Struct, array_like=True, frozen=True, gc=False):
    """What only the door knows about who sent an event: shared by the events of a request.

    All that `enrich.geo.Geo` has goes by its names. A new field goes to the end: old records have none.
    """

    user_agent: str = ""
    # Sec-CH-UA, -Mobile and -Platform joined by "|", or ""; where sent, also -Model, -Platform-Version
    # and -Form-Factors.
    client_hints: str = ""
    language: str = ""
    country_code: str = ""
    region: str = ""
    city: str = ""
    latitude: float | None = None
    longitude: float | None = None
    timezone: str = ""
    asn: int = 0
    told: Told | None = None


class RawEvent(Struct, array_like=True, gc=False):
    """One accepted event, validated at the door, not yet enriched. Times in ms since 1970 UTC."""

    event_id: bytes  # 16 bytes, big-endian
    event_type: str
    occurred_at: Millis
    visit: int = 0  # index into Record.visits
    site_id: str = ""
    visitor_id: int = 0
    device_hash: int = 0
    page_url: str = ""
    referrer: str = ""
    properties: str = ""  # a JSON object, "" for {}
    link_id: str = ""
    short_code: str = ""
    destination_url: str = ""
    session_id: int = 0  # hash of the client's own session id, 0 for none
    # The id came from the client, so a resend may follow.
    client_id: bool = False
    occurred_at_original: int = 0
    event_version: int = 1
    variant: str = ""
    via_click_id: bytes = NIL_ID
    sample_weight: float = 1.0
    # Explicit utm_source, _medium, _campaign, _term, _content; they win over those of page_url.
    utm: tuple[str, str, str, str, str] | None = None
    # The device under the salt of the day before, for the length of a visit after midnight (UTC); else 0.
    previous_device: int = 0
    # The word of a keyed sender for itself (`wordpress`); "" for none.
    sent_by: str = ""
    # The referrer is a page of the event's site, by the hosts of that.
    own_referrer: bool = False


def malformed_message(at: int, place: str, problem: str) -> RawEvent:
    """What stands in a record for a message of a topic that is no event: it has no id, and becomes a letter.

    `place` says where the message is, so that nothing of it is kept (it may hold an address); `problem`
    names the field, and no value of it.
    """
    return RawEvent(b"", "", at, page_url=place, referrer=problem)


def malformed_in(event: RawEvent) -> str | None:
    """Where the message is and what is wrong, if the event stands for a malformed one."""
    return None if event.event_id else f"{event.page_url}: {event.referrer}"


class Tally(Struct, array_like=True, frozen=True):
    """What a request (or second) had refused: it lives and dies with the events of its record."""

    site_id: str
    reason: str
    count: int


class Record(Struct, array_like=True):
    """One record of the log. All events belong to one workspace, and came at one time."""

    version: int
    received_at: Millis
    workspace_id: str
    source: str  # api, beacon, redirect, pixel, import:<format>, topic:<name>
    events: list[RawEvent]
    visits: list[SenderContext]
    tallies: list[Tally] = []
    key_id: str = ""


class NewerRecord(ValueError):
    """The record was made by a newer version of this program: nothing is wrong with it."""

    def __init__(self, version: int) -> None:
        super().__init__(f"record format {version} is newer than this program ({FORMAT_VERSION})")
        self.version = version


class _Outline(Struct, array_like=True):
    """What can be said of a record whose fields cannot be read: fields are only ever appended."""

    version: int
    received_at: msgspec.Raw
    workspace_id: msgspec.Raw
    source: msgspec.Raw
    events: list[msgspec.Raw]


class _Start(Struct, array_like=True):
    version: int


# Of MessagePack: by its first byte, how many more a number has.
_NUMBERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
_outline_decoder = msgspec.msgpack.Decoder(_Outline)
_start_decoder = msgspec.msgpack.Decoder(_Start)


def encode(record: Record) -> bytes:
    """Serialise a record with MessagePack (arrays, not maps: the order of fields is the format)."""
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """Read a record of any released format version.

    Raises NewerRecord when it was made by a newer version, ValueError when the bytes are no record.
    """
    try:
        record = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        _refuse_newer(data)
        raise ValueError(f"no record: {error}") from error
    if record.version > FORMAT_VERSION:
        raise NewerRecord(record.version)
    return record


def _refuse_newer(data: bytes) -> None:
    """Raise NewerRecord if only that can be why the fields are not those that are expected."""
    try:
        version = _start_decoder.decode(data).version
    except (ValueError, RecursionError):
        return
    if version > FORMAT_VERSION:
        raise NewerRecord(version)


def events_in(data: bytes) -> int | None:
    """How many events a record has that cannot be decoded; None where not even that can be read."""
    try:
        return len(_outline_decoder.decode(data).events)
    except (ValueError, RecursionError):
        return None


def count_events(data: bytes) -> int:
    """How many events a record has, by a glance at its bytes; 1 for what is no record."""
    try:
        at = 1  # behind the head of the array: version, received_at, workspace_id, source
        for _ in range(4):
            kind = data[at]
            if 0xA0 <= kind <= 0xBF:
                at += 1 + kind - 0xA0
            elif kind == 0xD9:
                at += 2 + data[at + 1]
            else:
                at += 1 + _NUMBERS.get(kind, 0)
        kind = data[at]
        if 0x90 <= kind <= 0x9F:
            return kind - 0x90
        return int.from_bytes(data[at + 1 : at + 3], "big") if kind == 0xDC else 1
    except IndexError:
        return 1


def without_events(data: bytes) -> tuple[bytes, int]:
    """The same record with its events only counted, as overflow; and how many those are.

    What is no record stays as it is.
    """
    try:
        record = decode(data)
    except ValueError:
        return data, 0
    sites = Counter([event.site_id for event in record.events])
    dropped = [Tally(site, Reason.OVERFLOW, count) for site, count in sites.items()]
    shrunk = msgspec.structs.replace(record, events=[], visits=[], tallies=[*record.tallies, *dropped])
    return encode(shrunk), len(record.events)


def event_positions(offset: int, count: int) -> range:
    """The `seq` of each of the `count` events of the record at `offset`."""
    first = offset * SEQ_PER_RECORD
    return range(first, first + count)


JsonObject = dict[str, Any]
