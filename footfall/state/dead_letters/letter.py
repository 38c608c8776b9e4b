"""A dead letter: what could not be stored, with all that is needed to try again.

It is named by the position of what it holds, which a retry keeps: an event by its own seq,
a record that cannot be read by its first.
"""

import re
from typing import Literal

import msgspec
from msgspec import Struct

from footfall.errors import Invalid
from footfall.model.reasons import MALFORMED, OF_WHOLE_RECORDS
from footfall.model.record import Record, decode, encode
from footfall.model.times import Millis
from footfall.state.ledger import hour_of, is_backfilled

Status = Literal["kept", "due", "retrying"]
"""`kept` waits for somebody to decide, `due` for the worker; `retrying`: the worker has it."""

MAX_DETAIL = 200

_POSITION = re.compile(r"([0-9a-f]{16})-([0-9]{1,19})", re.ASCII)


class DeadLetter(Struct, frozen=True, kw_only=True):
    """`events` of one (workspace, site, hour of receipt) that could not be stored, and why.

    Times in ms since 1970 UTC. `detail` says more than `reason` but holds no value of the
    event (the kind of error, not its message). `payload`, of `size` bytes, is an encoded Record with
    that event alone, or the record that could not be read; empty when there is nothing to try again.
    `digest`: of letters of older versions, which kept no more than that of a record they could not read.
    """

    shard: int
    seq: int
    workspace_id: str
    site_id: str
    hour: int
    reason: str
    failed_at: Millis
    size: int
    detail: str = ""
    events: int = 1
    backfilled: bool = False
    attempts: int = 1
    status: Status = "kept"
    digest: str = ""
    payload: bytes = b""

    @property
    def position(self) -> str:
        """As it is written: shard in hex, seq."""
        return format_position(self.shard, self.seq)

    @property
    def retryable(self) -> bool:
        """Whether there is something to try again; known without the payload, too."""
        return self.size > 0 and not self.digest

    @property
    def whole(self) -> bool:
        """Whether it stands for a record that could not be read: of how many events, it does not know."""
        return self.reason in OF_WHOLE_RECORDS

    def record(self) -> Record:
        """What to try again: of this one event, unless it is `whole`. Raises ValueError if it is none."""
        return decode(self.payload)


def event_letter(
    record: Record, index: int, shard: int, seq: int, *, reason: str, failed_at: Millis, detail: str = ""
) -> DeadLetter:
    """The letter of one event of a record that could be read."""
    event = msgspec.structs.replace(record.events[index], visit=0)
    visits = record.visits[record.events[index].visit :][:1]
    payload = b""
    if reason != MALFORMED:
        payload = encode(msgspec.structs.replace(record, events=[event], visits=visits, tallies=[]))
    return DeadLetter(
        shard=shard,
        seq=seq,
        workspace_id=record.workspace_id,
        site_id=event.site_id,
        hour=hour_of(record.received_at),
        reason=reason,
        failed_at=failed_at,
        size=len(payload),
        detail=detail[:MAX_DETAIL],
        backfilled=is_backfilled(record.source),
        payload=payload,
    )


def unreadable_letter(
    workspace_id: str,
    shard: int,
    seq: int,
    data: bytes | None,
    *,
    appended_at: int,
    reason: str,
    failed_at: Millis,
) -> DeadLetter:
    """The letter of a record that cannot be read, for one of OF_WHOLE_RECORDS, with all its bytes.

    Whose it was is not known: `workspace_id` is who is told of it. It counts as one event until it
    can be read. (A record of the log holds no address and no key, so it may be kept.)
    """
    return DeadLetter(
        shard=shard,
        seq=seq,
        workspace_id=workspace_id,
        site_id="",
        hour=hour_of(appended_at),
        reason=reason,
        failed_at=failed_at,
        size=len(data or b""),
        payload=data or b"",
    )


def format_position(shard: int, seq: int) -> str:
    """How a position is written: `0123456789abcdef-42`."""
    return f"{shard:016x}-{seq}"


def parse_position(text: str) -> tuple[int, int]:
    """Shard and seq. Raises Invalid."""
    match = _POSITION.fullmatch(text.lower())
    if match is None or int(match[2]) >= 1 << 63:
        raise Invalid("a position is written as 16 hex digits, a hyphen and a number", field="position")
    return int(match[1], 16), int(match[2])
