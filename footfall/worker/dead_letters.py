"""Dead letters that are tried again, in rounds between the live batches.

A round is a question to the store, an insert and a transaction, however many letters it has, and has so
few of them that a live batch is held up by some hundred milliseconds. A letter is `stored` if its position
is there (a crash cut a retry short), a `duplicate` if its id is: the sender may have sent the event
again long ago, so the index of recent ids is not asked, but the store.

Rounds are made while no batch is planned, and what was prepared is prepared again after one.
"""

import uuid
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from footfall.model.reasons import NEWER_FORMAT, UNDECODABLE
from footfall.model.record import SEQ_PER_RECORD, NewerRecord, Record
from footfall.model.times import now_ms, to_millis
from footfall.state.dead_letters.letter import DeadLetter
from footfall.state.dead_letters.letters import DeadLetters, Settled
from footfall.store.ids import EventId, stored_ids
from footfall.store.port import Store
from footfall.worker.backoff import Backoff, Breaker
from footfall.worker.dedup.keys import Ids, Mask
from footfall.worker.dedup.restore import DurableRecentIds
from footfall.worker.insert import Allowed, insert_exactly, there
from footfall.worker.prepare import Attempt, Preparer
from footfall.worker.threads import in_thread

log = structlog.get_logger(__name__)

# Of one round.
_MOST = 500
_MOST_BYTES = 8 << 20
_MOST_UNFOLDED = SEQ_PER_RECORD


class Decided(NamedTuple):
    """What is to become of each letter of an attempt. One that is none of these waits for the next round."""

    stored: Mask
    duplicate: Mask
    insert: Mask


def decide(there: Mask, names: Sequence[EventId], known: Collection[EventId]) -> Decided:
    """`there`: whose position is in the store. `known`: ids that are in the store, at any position.

    Of several letters with one id the first is tried, and the others once it is known what became of it.
    """
    by_id = np.array([name in known for name in names], np.bool_)
    first: dict[EventId, int] = {}
    for index in np.flatnonzero(~there & ~by_id).tolist():
        first.setdefault(names[index], index)
    insert = np.zeros(len(names), np.bool_)
    insert[list(first.values())] = True
    return Decided(there, ~there & by_id, insert)


class Retries:
    """`reach`: how much earlier than a letter's event another copy of it may have occurred, in seconds."""

    def __init__(
        self,
        store: Store,
        letters: DeadLetters,
        preparer: Preparer,
        memory: DurableRecentIds,
        patience: Backoff,
        breaker: Breaker,
        allowed: Allowed,
        reach: float,
    ) -> None:
        self._store = store
        self._letters = letters
        self._preparer = preparer
        self._memory = memory
        self._patience = patience
        self._breaker = breaker
        self._allowed = allowed
        self._reach = to_millis(reach)

    async def finish(self) -> None:
        """Settle what a crash left inserted, so that its ids are known before anything else is stored.

        Raises StopRequested, Conflict.
        """
        begun = await self._patience.until_done(self._letters.begun)
        attempt, _ = await self._prepared(begun)
        found = await self._patience.until_done(lambda: there(self._store, attempt.rows))
        nobody = np.zeros(len(found), np.bool_)
        await self._settle(attempt, Decided(found, nobody, nobody), [])

    async def round(self) -> int:
        """Try the next letters that are due; returns how many there were.

        Raises Retryable when they cannot be looked at now, and then they are due again; Stopped, Conflict.
        """
        letters = await self._letters.take(_MOST, _MOST_BYTES)
        if not letters:
            return 0
        settled = await self._unfold([letter for letter in letters if letter.whole])
        attempt, failed = await self._prepared(letters)
        now = _now()
        settled += [
            Settled(letter, "failed", "unprocessable", failed[letter.shard, letter.seq], now)
            for letter in letters
            if (letter.shard, letter.seq) in failed
        ]
        found = await there(self._store, attempt.rows)
        decided = decide(found, attempt.names, await self._known(attempt))
        rows = attempt.rows.filter(pa.array(decided.insert))
        refused = await insert_exactly(
            self._store, rows, uuid.uuid4().hex, self._breaker, self._allowed, _never, uncertain=False
        )
        await self._settle(attempt, _without(decided, attempt, refused), settled)
        return len(letters)

    async def _prepared(self, letters: Sequence[DeadLetter]) -> tuple[Attempt, dict[tuple[int, int], str]]:
        of_events = [letter for letter in letters if not letter.whole]
        return await in_thread(self._preparer.prepare_letters, of_events)

    async def _known(self, attempt: Attempt) -> set[EventId]:
        since = attempt.oldest - self._reach
        return await stored_ids(self._store, set(attempt.names), since, lane="worker")

    async def _settle(self, attempt: Attempt, decided: Decided, more: Sequence[Settled]) -> None:
        """Book what became of the letters, and `more`. The ids of what is stored are known first."""
        now = _now()
        if decided.stored.any():
            ids = Ids(attempt.ids.key[decided.stored], attempt.ids.rest[decided.stored])
            oldest = pc.min(attempt.rows["received_at"].filter(pa.array(decided.stored))).as_py().timestamp()
            await self._patience.until_done(lambda: self._memory.enter_late(ids, oldest))
        settled = list(more)
        for index, letter in enumerate(attempt.letters):
            if decided.stored[index]:
                settled.append(Settled(letter, "stored"))
            elif decided.duplicate[index]:
                settled.append(Settled(letter, "duplicate"))
            elif decided.insert[index]:
                settled.append(Settled(letter, "failed", "refused_by_store", "", now))
        since = attempt.oldest - self._reach
        known = {each.letter.hour: since for each in settled if each.outcome == "duplicate"}
        if settled:
            await self._patience.until_done(lambda: self._letters.settle(settled, known))

    async def _unfold(self, letters: Sequence[DeadLetter]) -> list[Settled]:
        """Whole records: those that can be read become letters of their events; the others failed again."""
        readable: list[tuple[DeadLetter, Record]] = []
        failed: list[Settled] = []
        events = 0
        for letter in letters:
            try:
                record = await in_thread(letter.record)
            except ValueError as error:
                reason = NEWER_FORMAT if isinstance(error, NewerRecord) else UNDECODABLE
                failed.append(Settled(letter, "failed", reason, "", _now()))
                continue
            if events < _MOST_UNFOLDED:  # else its turn comes in the next round
                readable.append((letter, record))
                events += len(record.events)
        if readable:
            await self._patience.until_done(lambda: self._letters.unfold(readable))
        return failed


def _without(decided: Decided, attempt: Attempt, refused: pa.Table) -> Decided:
    """After the insert: what was to be inserted is stored, but for the rows that were refused."""
    places = set(zip(refused["shard"].to_pylist(), refused["seq"].to_pylist(), strict=True))
    left = np.array([(each.shard, each.seq) in places for each in attempt.letters], np.bool_)
    return Decided(decided.stored | (decided.insert & ~left), decided.duplicate, decided.insert & left)


async def _never(_: int) -> bool:
    return False  # however many are refused, they are letters already


def _now() -> int:
    return now_ms()
