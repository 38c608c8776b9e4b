"""What a door had lost when it ended and could not write to the log: kept on the disk, booked later.

The usual reason for a loss is a full disk, so a door takes a little room at its start: a file of
zeros, one for each door, locked as long as it lives. At the end it overwrites that in place. Whoever
finds the file of a door that has ended books it in the ledger, in a transaction that remembers
its id, and then removes it; so a crash in between books nothing twice.
"""

import errno
import fcntl
import os
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.model.reasons import Reason
from footfall.model.times import now_ms
from footfall.state.ledger import LedgerCount, add, hour_of
from footfall.state.tables import booked_losses

log = structlog.get_logger(__name__)

_ROOM = 64 << 10  # bytes
_HEADER = 16  # length and checksum, 8 hex digits each


class Loss(NamedTuple):
    """Events that were received and are nowhere."""

    workspace_id: str
    site_id: str
    events: int


class _Kept(Struct):
    id: str
    at: int  # ms
    losses: list[Loss]


class Reserve:
    """Room for the losses of this process, in `data`/losses. Use `open`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._kept = False

    @classmethod
    def open(cls, data: Path) -> "Reserve | None":
        """Take the room; None, and a line in the log, where there is none."""
        directory = data / "losses"
        name = uuid.uuid4().hex
        draft = directory / f".{name}"
        descriptor = -1
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.pwrite(descriptor, bytes(_ROOM), 0) < _ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
            # Only now: whoever books takes a file that nobody holds for that of a door that has ended.
            return cls(draft.rename(directory / name), descriptor)
        except OSError as error:
            log.warning("losses.no_room", problem=error.strerror)
            if descriptor >= 0:
                os.close(descriptor)
                with suppress(OSError):
                    draft.unlink()
            return None

    def keep(self, losses: Sequence[Loss]) -> None:
        """Note what is lost; who books next finds it. A failure is logged: nothing else can be done."""
        body = _fit(_Kept(self._path.name, now_ms(), list(losses)))
        try:
            os.pwrite(self._descriptor, f"{len(body):08x}{crc32(body):08x}".encode() + body, 0)
            os.fsync(self._descriptor)
            self._kept = True
        except OSError:
            log.exception("losses.not_kept", events=sum(loss.events for loss in losses))

    def close(self) -> None:
        """Let go of the room, and of the file if nothing is in it."""
        if not self._kept:
            with suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)


async def book_losses(data: Path, state: Database) -> int:
    """Book what doors that have ended had lost. Returns how many events. Raises Retryable."""
    booked = 0
    for path in sorted((data / "losses").glob("[0-9a-f]*")):
        descriptor = _take(path)
        if descriptor is None:
            continue
        try:
            kept = _read(descriptor)
            if kept is not None:
                booked += await state.run(lambda connection, kept=kept: _book(connection, kept))
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    if booked:
        log.error("losses.booked", events=booked)
    return booked


def _take(path: Path) -> int | None:
    """The file, locked; None while its door lives, or another one is at it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _read(descriptor: int) -> _Kept | None:
    """What was kept; None when nothing was, or it was not written to its end."""
    header = os.pread(descriptor, _HEADER, 0)
    if not header.strip(b"\0"):
        return None
    try:
        length, checksum = int(header[:8], 16), int(header[8:], 16)
        body = os.pread(descriptor, length, _HEADER)
        if crc32(body) == checksum:
            return msgspec.json.decode(body, type=_Kept)
    except (ValueError, OverflowError):
        pass
    log.error("losses.damaged")
    return None


def _book(connection: Connection, kept: _Kept) -> int:
    statement = insert(connection, booked_losses).values(id=kept.id, at=kept.at).on_conflict_do_nothing()
    if connection.execute(statement).rowcount == 0:
        return 0
    hour, reason = hour_of(kept.at), Reason.CLICK_STOPPED.value
    for loss in kept.losses:
        add(
            connection,
            [
                LedgerCount(loss.workspace_id, loss.site_id, hour, "received", loss.events),
                LedgerCount(loss.workspace_id, loss.site_id, hour, "lost", loss.events, reason),
            ],
        )
    return sum(loss.events for loss in kept.losses)


def _fit(kept: _Kept) -> bytes:
    """As text; where the room is too small, added up by workspace, and then the largest of those."""
    body = msgspec.json.encode(kept)
    if len(body) + _HEADER <= _ROOM:
        return body
    sums: Counter[str] = Counter()
    for loss in kept.losses:
        sums[loss.workspace_id] += loss.events
    largest = [Loss(workspace, "", count) for workspace, count in sums.most_common(_ROOM // 200)]
    return msgspec.json.encode(_Kept(kept.id, kept.at, largest))
