"""Dead letters: kept until somebody retries or discards them, never forgotten by themselves.

Every step moves the ledger's counts in its own transaction. A letter the worker has taken
(`retrying`) is its alone until it settles it: else one could be discarded while its row is
being inserted. The worker asks the store for the letter's position before it inserts, so a
retry that a crash cut short is simply taken again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from footfall.database import Database
from footfall.errors import Conflict, NotFound
from footfall.model.reasons import OF_WHOLE_RECORDS
from footfall.model.record import SEQ_PER_RECORD, Record
from footfall.model.times import now_ms
from footfall.state import ids_known, lease, outgoing
from footfall.state.dead_letters import rows as letter_rows
from footfall.state.dead_letters.letter import DeadLetter, format_position
from footfall.state.dead_letters.rows import Settled, Size
from footfall.state.lease import Fence
from footfall.state.outgoing import OutgoingRange
from footfall.state.tables import dead_letters as table
from footfall.state.tables import discarded_letters, retried_letters

__all__ = ["MAX_BYTES", "MAX_LETTERS", "DeadLetters", "LetterPage", "Settled", "Size", "Unstored"]

MAX_LETTERS = 100_000
MAX_BYTES = 256 << 20

_DUE = table.c.status.in_(("due", "retrying"))
_AT_ONCE = 10_000  # letters that one transaction discards


class LetterPage(NamedTuple):
    """Part of a list; `total` is the number of letters there are without limit and offset."""

    letters: Sequence[DeadLetter]
    total: int


class Unstored(NamedTuple):
    """What of the closed records is no row: events by shard and seq, whole records by shard and offset."""

    events: frozenset[tuple[int, int]] = frozenset()
    records: frozenset[tuple[int, int]] = frozenset()


class DeadLetters:
    """The letters of all workspaces. What belongs to another workspace does not exist for one.

    `fence`: the worker's, for what is the worker's. `goes_out`: what is stored at last is noted as
    outgoing. All methods raise Retryable when the database
    is busy or its disk fails.
    """

    def __init__(
        self,
        database: Database,
        fence: Fence | None = None,
        max_letters: int = MAX_LETTERS,
        max_bytes: int = MAX_BYTES,
        *,
        goes_out: bool = False,
    ) -> None:
        self._database = database
        self._goes_out = goes_out
        self._fence = fence
        self._limits = Size(max_letters, max_bytes)

    # For people

    async def page(
        self, workspace_id: str, limit: int = 100, offset: int = 0, reason: str | None = None
    ) -> LetterPage:
        """The letters of a workspace, newest first, without their payloads."""
        where = [table.c.workspace_id == workspace_id]
        if reason is not None:
            where.append(table.c.reason == reason)
        columns = [column for column in table.c if column is not table.c.payload]
        newest = (table.c.failed_at.desc(), table.c.shard.desc(), table.c.seq.desc())

        def read(connection: Connection) -> LetterPage:
            total = connection.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0
            rows = connection.execute(
                sa.select(*columns).where(*where).order_by(*newest).limit(limit).offset(offset)
            )
            return LetterPage([letter_rows.letter(row) for row in rows.mappings()], total)

        return await self._database.read(read)

    async def show(self, workspace_id: str, shard: int, seq: int) -> DeadLetter:
        """One letter, whole. Raises NotFound."""
        return await self._database.read(lambda connection: _one(connection, workspace_id, shard, seq))

    async def retry(self, workspace_id: str, shard: int, seq: int) -> DeadLetter:
        """Hand the letter to the worker. Raises NotFound, and Conflict when there is nothing to retry."""

        def write(connection: Connection) -> DeadLetter:
            letter = _one(connection, workspace_id, shard, seq)
            if not letter.retryable:
                raise Conflict("nothing of this record is left to try again")
            if letter.status == "kept":
                connection.execute(table.update().where(letter_rows.at(shard, seq)).values(status="due"))
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

        Its id counts as never seen: a resend is stored. Raises NotFound, and Conflict while the
        worker is retrying it.
        """

        def write(connection: Connection) -> None:
            letter = _one(connection, workspace_id, shard, seq)
            if letter.status == "retrying":
                raise Conflict("the worker is trying this one again just now; look again in a moment")
            letter_rows.discard(connection, [letter], _now())

        await self._database.run(write)

    async def discard_all(self, workspace_id: str, reason: str) -> int:
        """Discard all with this reason that the worker is not retrying; returns how many that were."""
        mine = (table.c.workspace_id == workspace_id, table.c.reason == reason, table.c.status != "retrying")
        columns = [column for column in table.c if column is not table.c.payload]

        def write(connection: Connection) -> int:
            rows = connection.execute(sa.select(*columns).where(*mine).limit(_AT_ONCE))
            letters = [letter_rows.letter(row) for row in rows.mappings()]
            letter_rows.discard(connection, letters, _now())
            return len(letters)

        gone = 0
        while some := await self._database.run(write):
            gone += some
        return gone

    # For the worker

    async def due(self) -> bool:
        """Whether there are letters to `take`. A look that waits for nobody: nearly always there are none."""

        def peek(connection: Connection) -> bool:
            return connection.scalar(sa.select(table.c.seq).where(_DUE).limit(1)) is not None

        return await self._database.read(peek)

    async def take(self, limit: int = 1000, max_bytes: int = 8 << 20) -> Sequence[DeadLetter]:
        """Letters to be retried, by position: those a crash left half retried, and those due.

        At most `limit`, of `max_bytes` together (at least one). Durable on return: until they are
        settled they are the worker's, and no others are. Raises Conflict when the worker's lease was
        taken over.
        """

        def write(connection: Connection) -> Sequence[DeadLetter]:
            lease.check(connection, self._fence)
            rows = connection.execute(
                sa.select(table.c.shard, table.c.seq, table.c.size)
                .where(_DUE)
                .order_by(table.c.status.desc(), table.c.shard, table.c.seq)
                .limit(limit)
            )
            places: list[tuple[int, int]] = []
            total = 0
            for shard, seq, size in rows.all():
                total += size
                if places and total > max_bytes:
                    break
                places.append((int(shard, 16), seq))
            letters: list[DeadLetter] = []
            for some in letter_rows.chunks(places):
                these = letter_rows.among(some)
                connection.execute(table.update().where(these).values(status="retrying"))
                letters += letter_rows.read(connection, these)
            return letters

        return await self._database.run(write) if await self.due() else []

    async def begun(self) -> Sequence[DeadLetter]:
        """The letters that were taken and are not settled: no more than `take` gives out at once."""
        return await self._database.read(
            lambda connection: letter_rows.read(connection, table.c.status == "retrying")
        )

    async def settle(self, results: Iterable[Settled], known: Mapping[int, int] | None = None) -> None:
        """Close a retry: what was `stored` or is a `duplicate` is no dead letter any more.

        `known`: of those that are duplicates, as `ids_known.note`. One transaction. Settling again changes
        nothing, so that it may be repeated when its outcome is unknown. Raises Conflict when the worker's
        lease was taken over.
        """
        every = list(results)

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            stored = letter_rows.settle(connection, every, _now())
            if self._goes_out:
                outgoing.note(connection, [OutgoingRange(shard, seq, seq) for shard, seq in stored])
            ids_known.note(connection, known or {})

        await self._database.run(write)

    async def unfold(self, records: Sequence[tuple[DeadLetter, Record]]) -> None:
        """In place of letters of whole records that can be read by now: one of each of their events, due.

        As `settle`. The books then say how many events there were, and whose.
        """

        def write(connection: Connection) -> None:
            lease.check(connection, self._fence)
            letter_rows.unfold(connection, records)

        await self._database.run(write)

    async def full(self, more: Sequence[DeadLetter]) -> Size | None:
        """What is kept, if there is no room for `more` beside it. None when there is."""
        size = await self.size()
        letters = size.letters + len(more)
        payloads = size.bytes + sum(len(letter.payload) for letter in more)
        return size if letters > self._limits.letters or payloads > self._limits.bytes else None

    async def unstored(self) -> Unstored:
        """What is in letters, or was until somebody discarded it."""
        letter = sa.select(table.c.shard, table.c.seq, table.c.reason.in_(OF_WHOLE_RECORDS))
        gone = sa.select(discarded_letters.c.shard, discarded_letters.c.seq, discarded_letters.c.whole)
        rows = await self._database.read(
            lambda connection: [*connection.execute(letter), *connection.execute(gone)]
        )
        return Unstored(
            frozenset((int(shard, 16), seq) for shard, seq, whole in rows if not whole),
            frozenset((int(shard, 16), seq // SEQ_PER_RECORD) for shard, seq, whole in rows if whole),
        )

    async def retried(self) -> list[tuple[int, int]]:
        """Shard and seq of what was stored by a retry, in the last 90 days."""
        places = sa.select(retried_letters.c.shard, retried_letters.c.seq)
        rows = await self._database.read(lambda connection: connection.execute(places).all())
        return [(int(shard, 16), seq) for shard, seq in rows]

    async def size(self) -> Size:
        """How much is kept, of all workspaces: to be watched against MAX_LETTERS and MAX_BYTES."""
        return await self._database.read(letter_rows.size)


def _one(connection: Connection, workspace_id: str, shard: int, seq: int) -> DeadLetter:
    where = (table.c.workspace_id == workspace_id, letter_rows.at(shard, seq))
    row = connection.execute(sa.select(table).where(*where)).mappings().first()
    if row is None:
        raise NotFound(f"there is no dead letter at {format_position(shard, seq)}")
    return letter_rows.letter(row)


def _now() -> int:
    return now_ms()
