"""Dead letters: kept until somebody retries or discards them, never forgotten by themselves.

Every step moves the ledger's counts in its own transaction. A letter the worker has taken
(`retrying`) is its alone until it settles it: else one could be discarded while its row is
being inserted. The worker asks the store for the letter's position before it inserts, so a
retry that a crash cut short is simply taken again.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection, RowMapping

from footfall.database import Database
from footfall.errors import Conflict, NotFound, Retryable
from footfall.state import builds, lease, ledger
from footfall.state.lease import Fence
from footfall.state.ledger import LedgerCount, Outcome
from footfall.state.letters import MAX_DETAIL, DeadLetter, format_position
from footfall.state.tables import dead_letters as table

T = TypeVar("T")

MAX_LETTERS = 100_000
MAX_BYTES = 256 << 20
DISCARDED = "discarded"

_PARAMETERS = 500  # of one statement; SQLite takes 32,766, old builds 999


class Page(NamedTuple):
    """Part of a list; `total` is the number of letters there are without limit and offset."""

    letters: Sequence[DeadLetter]
    total: int


class Size(NamedTuple):
    """How many letters there are, and the bytes of their payloads."""

    letters: int
    bytes: int


class Settled(Struct, frozen=True):
    """What became of a letter that was retried. `failed`: it stays, with a new reason."""

    letter: DeadLetter
    outcome: Literal["stored", "duplicate", "failed"]
    reason: str = ""
    detail: str = ""
    at: int = 0  # of a failure, ms


class DeadLetters:
    """The letters of all workspaces. What belongs to another workspace does not exist for one.

    `fence`: the worker's, for `take` and `settle`. All methods raise Retryable when the database
    is busy or its disk fails.
    """

    def __init__(self, database: Database, fence: Fence | None = None) -> None:
        self._database = database
        self._fence = fence

    # For people

    async def page(
        self, workspace_id: str, limit: int = 100, offset: int = 0, reason: str | None = None
    ) -> Page:
        """The letters of a workspace, newest first, without their payloads."""
        where = [table.c.workspace_id == workspace_id]
        if reason is not None:
            where.append(table.c.reason == reason)
        columns = [column for column in table.c if column is not table.c.payload]
        newest = (table.c.failed_at.desc(), table.c.shard.desc(), table.c.seq.desc())

        def read(connection: Connection) -> Page:
            total = connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0
            rows = connection.execute(
                sa.select(*columns).where(*where).order_by(*newest).limit(limit).offset(offset)
            )
            return Page([_letter(row) for row in rows.mappings()], total)

        return await self._database.read(read)

    async def show(self, workspace_id: str, shard: int, seq: int) -> DeadLetter:
        """One letter, whole. Raises NotFound."""
        return await self._database.read(lambda connection: _one(connection, workspace_id, shard, seq))

    async def retry(self, workspace_id: str, shard: int, seq: int) -> DeadLetter:
        """Hand the letter to the worker. Raises NotFound, and Conflict when there is nothing to retry."""

        def write(connection: Connection) -> DeadLetter:
            letter = _one(connection, workspace_id, shard, seq)
            if not letter.retryable:
                raise Conflict("this record could not be read, so nothing is left to try again")
            if letter.status == "kept":
                connection.execute(table.update().where(_at(letter)).values(status="due"))
            return _one(connection, workspace_id, shard, seq)

        return await self._database.run(write)

    async def retry_all(self, workspace_id: str, reason: str) -> int:
        """Hand all letters with this reason to the worker that it can try; returns how many that are now."""
        changed = (
            table.update()
            .where(
                table.c.workspace_id == workspace_id,
                table.c.reason == reason,
                table.c.status == "kept",
                table.c.digest == "",
                table.c.size > 0,
            )
            .values(status="due")
        )
        return await self._database.run(lambda connection: connection.execute(changed).rowcount)

    async def discard(self, workspace_id: str, shard: int, seq: int) -> None:
        """Forget the letter: its events are dropped, and the ledger says so.

        Raises NotFound, and Conflict while the worker is retrying it.
        """

        def write(connection: Connection) -> None:
            letter = _one(connection, workspace_id, shard, seq)
            if letter.status == "retrying":
                raise Conflict("the worker is trying this one again just now; look again in a moment")
            _remove(connection, [letter])
            ledger.add(connection, _moved(letter, "dropped", DISCARDED))

        await self._database.run(write)

    # For the worker

    async def take(self, limit: int = 1000) -> Sequence[DeadLetter]:
        """Letters to be retried, by position: those a crash left half retried, and those due.

        Durable on return: until they are settled they are the worker's. Raises Conflict when the
        worker's lease was taken over.
        """

        def peek(connection: Connection) -> bool:
            wanted = table.c.status.in_(("due", "retrying"))
            return connection.scalar(sa.select(table.c.seq).where(wanted).limit(1)) is not None

        def write(connection: Connection) -> Sequence[DeadLetter]:
            lease.check(connection, self._fence)
            rows = connection.execute(
                sa.select(table)
                .where(table.c.status.in_(("due", "retrying")))
                .order_by(table.c.status.desc(), table.c.shard, table.c.seq)
                .limit(limit)
                .with_for_update()
            )
            letters = [_letter(row) for row in rows.mappings()]
            for some in _chunks(letters):
                connection.execute(table.update().where(_among(some)).values(status="retrying"))
            return letters

        # Nearly always there is nothing to do, and a look waits for nobody.
        return await self._database.run(write) if await self._database.read(peek) else []

    async def settle(self, results: Iterable[Settled]) -> None:
        """Close a retry: what was `stored` or is a `duplicate` is no dead letter any more.

        One transaction. Settling again changes nothing, so that it may be repeated when its
        outcome is unknown. Raises Conflict when the worker's lease was taken over.
        """
        every = list(results)

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            for some in _chunks(every):
                _settle(connection, some)

        await self._database.run(write)

    async def positions(self) -> set[tuple[int, int]]:
        """Shard and seq of every letter: events that are not in the store."""
        rows = await self._database.read(
            lambda connection: connection.execute(sa.select(table.c.shard, table.c.seq)).all()
        )
        return {(int(shard, 16), seq) for shard, seq in rows}

    async def size(self) -> Size:
        """How much is kept, of all workspaces: to be watched against MAX_LETTERS and MAX_BYTES."""
        return await self._database.read(_size)


def add(
    connection: Connection,
    letters: Sequence[DeadLetter],
    max_letters: int = MAX_LETTERS,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Keep these letters, in the caller's transaction, and count them as dead-lettered.

    Raises Retryable, which undoes the transaction, when there are too many: then the worker
    waits, as it would for a full disk, until somebody retries or discards some.
    """
    if not letters:
        return
    there = _size(connection)
    if (
        there.letters + len(letters) > max_letters
        or there.bytes + sum(len(letter.payload) for letter in letters) > max_bytes
    ):
        raise Retryable(
            f"there are too many dead letters ({there.letters}, {there.bytes} bytes): "
            "retry or discard some, the worker waits until then"
        )
    connection.execute(table.insert(), [_row(letter) for letter in letters])
    ledger.add(connection, [_count(letter, "dead_lettered", letter.events) for letter in letters])


def _settle(connection: Connection, results: Sequence[Settled]) -> None:
    rows = connection.execute(sa.select(table).where(_among([result.letter for result in results])))
    # As they stand now: a letter that was settled before is gone, or waits again.
    open_now = {(letter.shard, letter.seq): letter for letter in (_letter(row) for row in rows.mappings())}
    gone: list[DeadLetter] = []
    stored: list[tuple[int, int]] = []
    moved: list[LedgerCount] = []
    for result in results:
        letter = open_now.get((result.letter.shard, result.letter.seq))
        if letter is None or letter.status != "retrying":
            continue
        if result.outcome == "failed":
            connection.execute(
                table.update()
                .where(_at(letter))
                .values(
                    status="kept",
                    attempts=letter.attempts + 1,
                    reason=result.reason,
                    detail=result.detail[:MAX_DETAIL],
                    failed_at=result.at,
                )
            )
        else:
            gone.append(letter)
            moved += _moved(letter, result.outcome)
            if result.outcome == "stored":
                stored.append((letter.shard, letter.seq))
    _remove(connection, gone)
    builds.note_late(connection, stored)
    ledger.add(connection, moved)


def _one(connection: Connection, workspace_id: str, shard: int, seq: int) -> DeadLetter:
    where = (table.c.workspace_id == workspace_id, table.c.shard == f"{shard:016x}", table.c.seq == seq)
    row = connection.execute(sa.select(table).where(*where).with_for_update()).mappings().first()
    if row is None:
        raise NotFound(f"there is no dead letter at {format_position(shard, seq)}")
    return _letter(row)


def _letter(row: RowMapping) -> DeadLetter:
    values = {str(name): value for name, value in row.items()}
    return msgspec.convert(values | {"shard": int(row["shard"], 16)}, DeadLetter)


def _row(letter: DeadLetter) -> dict[str, Any]:
    values = {name: getattr(letter, name) for name in DeadLetter.__struct_fields__}
    return values | {"shard": f"{letter.shard:016x}"}


def _at(letter: DeadLetter) -> Any:
    return sa.and_(table.c.shard == f"{letter.shard:016x}", table.c.seq == letter.seq)


def _among(letters: Sequence[DeadLetter]) -> Any:
    by_shard: dict[int, list[int]] = {}
    for letter in letters:
        by_shard.setdefault(letter.shard, []).append(letter.seq)
    return sa.or_(
        sa.false(),
        *(
            sa.and_(table.c.shard == f"{shard:016x}", table.c.seq.in_(seqs))
            for shard, seqs in by_shard.items()
        ),
    )


def _remove(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    if letters:
        connection.execute(table.delete().where(_among(letters)))


def _count(letter: DeadLetter, outcome: Outcome, count: int, reason: str = "") -> LedgerCount:
    return LedgerCount(
        letter.workspace_id, letter.site_id, letter.hour, outcome, count, reason, letter.backfilled
    )


def _moved(letter: DeadLetter, outcome: Outcome, reason: str = "") -> tuple[LedgerCount, LedgerCount]:
    return (
        _count(letter, "dead_lettered", -letter.events),
        _count(letter, outcome, letter.events, reason),
    )


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _PARAMETERS] for start in range(0, len(items), _PARAMETERS))


def _size(connection: Connection) -> Size:
    # Of a record that could not be read only the digest is kept.
    payload = sa.case((table.c.digest == "", table.c.size), else_=0)
    count, size = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(payload), 0))
    ).one()
    return Size(count, int(size))
