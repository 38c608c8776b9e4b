"""The log against the store: what of its records is stored, and what became of the rest."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from footfall.eventlog.port import EventLog, GoneRecords
from footfall.model.reasons import LOSSES, Reason
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import to_millis
from footfall.retention.policy import not_compared
from footfall.state import hours_logged
from footfall.state.ledger import hour_of
from footfall.state.retention import Deleted
from footfall.store.ids import EventId, stored_ids
from footfall.store.port import Store
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.verify import store_queries
from footfall.verify.findings import EXAMPLES, Finding, Key, Position, finding, positions
from footfall.verify.ledger_snapshot import LedgerSnapshot
from footfall.verify.log_records import SLACK, Logged, RecordGroup, groups, held, next_readable

# Ids of events that were left out as duplicates, whose first copies are looked for at once.
_MOST_ASKED = 5000


class Places:
    """How many positions, and the first few of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Position] = []

    def add(self, position: Position) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < EXAMPLES:
            self.first.append(position)


class FirstCopies(NamedTuple):
    """Of which duplicates retention may have deleted the first copy. All times in ms.

    `deleted`: by workspace, and under "" for all of them, none is deleted that was received from then on.
    `known`: by hour, when the oldest event came whose id the worker knew; where that was not noted it is
    thought to have come within the `window`.
    """

    deleted: Mapping[str, int]
    known: Mapping[int, int]
    window: int

    def are_kept(self, workspace_id: str, hour: int) -> bool:
        """Whether all are there, of duplicates that were received in the hour."""
        until = max(self.deleted.get(workspace_id, 0), self.deleted.get("", 0))
        return not until or self.known.get(hour, hour - self.window) >= until


class LogAudit:
    """Counts what the log holds of the hours from `start` to `end` (ms) of a workspace, or of all.

    Only closed records, and against `books`: what was closed later is not looked at. `deleted`: by
    site, what retention deleted; `firsts`: which duplicates that concerns.
    """

    def __init__(
        self,
        log: EventLog,
        store: Store,
        books: LedgerSnapshot,
        start: int,
        end: int,
        workspace_id: str | None,
        deleted: Mapping[str, Deleted],
        firsts: FirstCopies,
    ) -> None:
        self._log = log
        self._store = store
        self._books = books
        self._start = start
        self._end = end
        self._workspace_id = workspace_id
        self._deleted = deleted
        self._firsts = firsts
        self._received: Counter[Key] = Counter()
        self._duplicates: Counter[Key] = Counter()  # as the door says
        self._missing: defaultdict[Key, Places] = defaultdict(Places)
        # Of these those that cannot be duplicates, and some that may be.
        self._no_duplicates: defaultdict[Key, Places] = defaultdict(Places)
        self._copies: defaultdict[EventId, list[tuple[Key, Position]]] = defaultdict(list)
        self._suspects: dict[EventId, list[tuple[Key, Position]]] = {}  # of which nothing is stored
        self._discarded: Counter[Key] = Counter()
        self._strange: defaultdict[Key, Places] = defaultdict(Places)
        self._ends: list[Finding] = []
        self._cut: set[int] = set()  # hours of which the log has lost the first records
        self.unreadable: set[Position] = set()
        """Shard and offset of the records that cannot be read, of whichever workspace they are."""
        self.firsts_unknown = False
        """Retention may have deleted the first copy of a duplicate: whether it was one was not compared."""
        self.complete_from = 0
        """Everything received from here on (ms) is still in the log."""

    @property
    def figures(self) -> dict[Key, tuple[int, int]]:
        """Events and refusals in the log, and events of it that are not stored."""
        return {
            key: (self._received[key], self._missing[key].count)
            for key in self._received.keys() | self._missing.keys()
        }

    async def run(self) -> None:
        """Read the log and ask the store. Raises Retryable."""
        for shard in await self._log.shards():
            upto = self._books.closed.get(shard, -1)
            there = await held(self._log, shard, upto)
            if there is None:
                continue
            if there.first.offset > 0:  # something before it may have been deleted
                self._cut |= {
                    each.hour
                    for each in self._books.logged
                    if each.shard == shard and each.first < there.first.offset
                }
                timed = await next_readable(self._log, shard, -1, there.last) or there.first
                self.complete_from = max(self.complete_from, to_millis(timed.appended_at) + SLACK)
            if there.last < upto:
                await self._note_end(shard, there.last, upto)
            gone = await self._log.gone({shard: there.first.offset - 1})
            noted = hours_logged.between(self._books.logged, shard)
            async for group in groups(self._log, shard, upto, self._start, self._end, noted):
                found = await store_queries.at_positions(self._store, shard, group.seqs, group.occurred)
                self._compare(group, found, [each for each in gone if each.shard == shard])
                await self._look_for_firsts()
        suspects = self._suspects.keys()
        for event_id in suspects - await self._deleted_since(suspects):
            for key, position in self._suspects[event_id]:
                self._no_duplicates[key].add(position)

    async def _look_for_firsts(self) -> None:
        """Of what was left out as duplicates keep that of which the store has no copy."""
        ids = list(self._copies)
        for start in range(0, len(ids), _MOST_ASKED):
            asked = ids[start : start + _MOST_ASKED]
            stored = await stored_ids(self._store, asked, lane="house")
            for event_id in set(asked) - stored:
                self._suspects.setdefault(event_id, []).extend(self._copies[event_id])
        self._copies.clear()

    async def _deleted_since(self, suspects: Collection[EventId]) -> set[EventId]:
        """Those of which the log has a copy so old that retention may have deleted its row.

        A worker that was down for long knows the ids of all that waited for it, however old they are.
        """
        until = max((each.received for each in self._deleted.values()), default=0)
        found: set[EventId] = set()
        if not suspects or not until:
            return found
        for shard in await self._log.shards():
            async for group in groups(self._log, shard, self._books.closed.get(shard, -1), 0, until):
                for record in group.records:
                    found |= {
                        EventId(record.workspace_id, UUID(bytes=event_id))
                        for site, event_id in zip(record.sites, record.ids, strict=True)
                        if event_id is not None and not_compared(self._deleted, site, record.hour)
                    }.intersection(suspects)
        return found

    def findings(self) -> list[Finding]:
        """What does not add up."""
        found = list(self._ends)
        for key in sorted(self._received.keys() | self._missing.keys() | self._books.counts.keys()):
            found += self._of_hour(key, self._books.counts.get(key, Counter[str]()))
        found += [
            finding("out_of_plan", key, 0, places.count, positions(places.first))
            for key, places in sorted(self._strange.items())
        ]
        return found

    def _of_hour(self, key: Key, outcomes: Mapping[str, int]) -> Iterable[Finding]:
        received, missing = self._received[key], self._missing[key]
        # Of what is lost the log has tallies, if it is one of LOSSES, and else nothing.
        tallied = sum(outcomes.get(reason, 0) for reason in LOSSES)
        expected = outcomes.get("received", 0) - outcomes.get("lost", 0) + tallied
        if received > expected or (
            received < expected and key[2] >= self.complete_from and key[2] not in self._cut
        ):
            # Too few may be a clock that jumped, by which records are not found in their hour.
            level = "error" if received > expected else "warning"
            yield finding("received", key, expected, received, level=level)
        # What overflowed has no event in its record.
        discarded = outcomes.get("dropped", 0) - outcomes.get(Reason.OVERFLOW, 0)
        left_out = outcomes.get("duplicate", 0) - self._duplicates[key] + discarded
        # Where retention has deleted a part of the hour, what was left out may have been in that part.
        if missing.count > left_out or (received == expected and missing.count < left_out):
            yield finding("missing", key, left_out, missing.count, positions(missing.first))
        wrong = self._no_duplicates[key]
        unplaced = discarded - self._discarded[key]  # by a program that did not note where
        if wrong.count > unplaced:
            yield finding("not_a_duplicate", key, unplaced, wrong.count, positions(wrong.first))

    def _compare(self, group: RecordGroup, found: dict[int, list[int]], gone: Sequence[GoneRecords]) -> None:
        for record in group.records:
            there = set(found.pop(record.offset, ()))
            if not record.readable and self._start <= record.hour < self._end:
                self.unreadable.add((group.shard, record.offset))
            if not self._wanted(record):
                continue
            letter = self._books.letters.get((group.shard, record.offset * SEQ_PER_RECORD))
            if (
                letter is not None and letter.whole
            ):  # counted in its hour, whether it can be read by now or not
                self._received[letter.key] += letter.events
                continue
            if record.readable:
                self._received.update(record.received)
                self._duplicates.update(record.duplicates)
            else:
                if there:  # it was damaged after its events had been stored
                    continue
                self._received.update(record.received)
            self._note_strange(
                record.workspace_id,
                record.hour,
                ((group.shard, record.offset * SEQ_PER_RECORD + i) for i in there if i >= len(record.sites)),
            )
            if sum(i < len(record.sites) for i in there) < len(record.sites):
                self._note_missing(group.shard, record, there)
        for offset, indexes in found.items():  # the log has no such records
            if any(each.first <= offset <= each.last for each in gone):  # but had them
                continue
            self._note_strange(
                self._workspace_id or group.records[0].workspace_id,
                group.records[0].hour,
                ((group.shard, offset * SEQ_PER_RECORD + index) for index in indexes),
            )

    def _wanted(self, record: Logged) -> bool:
        return self._start <= record.hour < self._end and self._workspace_id in (None, record.workspace_id)

    def _note_missing(self, shard: int, record: Logged, there: set[int]) -> None:
        for index, (site, event_id) in enumerate(zip(record.sites, record.ids, strict=True)):
            position = (shard, record.offset * SEQ_PER_RECORD + index)
            if index in there or position in self._books.letters:
                continue
            key = (record.workspace_id, site, record.hour)
            self._missing[key].add(position)
            if self._books.was_discarded(shard, record.offset, index):
                self._discarded[key] += 1
            elif event_id is None:
                self._no_duplicates[key].add(position)
            elif self._firsts.are_kept(record.workspace_id, record.hour):
                self._copies[EventId(record.workspace_id, UUID(bytes=event_id))].append((key, position))
            else:
                self.firsts_unknown = True

    async def _note_end(self, shard: int, last: int, closed: int) -> None:
        """The log ends at `last`, though it was closed further: told in the hour of what is there last."""
        for entry in await self._log.read(shard, last - 1, 1, 1):
            hour = hour_of(to_millis(entry.appended_at))
            if self._start <= hour < self._end:
                key = (self._workspace_id or DEFAULT_WORKSPACE, "", hour)
                first = positions([(shard, (last + 1) * SEQ_PER_RECORD)])
                self._ends.append(finding("log_end", key, closed, last, first))

    def _note_strange(self, workspace_id: str, hour: int, places: Iterable[Position]) -> None:
        for position in places:
            self._strange[workspace_id, "", hour].add(position)
