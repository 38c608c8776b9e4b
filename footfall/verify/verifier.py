"""Does the store hold what the ledger and the log say? Each is counted for itself and compared.

- the ledger: received = the sum of the outcomes, and its dead letters are there;
- the store against the ledger: rows = stored, no position twice, no client's id twice within
  the window, no row outside the closed records and the open plans;
- the log, as far back as it goes, against both: all that was received is in the ledger, and every
  event is stored, a dead letter, or was left out for a reason that was counted;
- the rollups against the store, for what occurred in the range: verify_rollups.py.

It runs beside the worker: all of it looks at what was closed at one moment. It changes nothing.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

from footfall.database import Database
from footfall.errors import Invalid
from footfall.eventlog.port import EventLog
from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import Seconds, to_millis
from footfall.retention.policy import not_compared
from footfall.state.ids_known import known_since
from footfall.state.ledger import HOUR
from footfall.state.ranges import iso
from footfall.state.retention import Deleted, RetentionState
from footfall.state.rollups.builds import Builds
from footfall.store.port import Store
from footfall.verify.busy import Busy, Piece, cut
from footfall.verify.findings import (
    FIRSTS_UNKNOWN,
    MOST_FINDINGS,
    RETAINED,
    Check,
    Finding,
    Key,
    VerifyResult,
    figures,
    finding,
    merge,
    positions,
)
from footfall.verify.ledger_snapshot import LedgerSnapshot, read_snapshot
from footfall.verify.log_audit import FirstCopies, LogAudit
from footfall.verify.rollups import RollupVerifier
from footfall.verify.store_queries import DoubledId, Rows
from footfall.verify.until_stop import ServerStopping, before

# Records with rows above what is closed: those of two batches at most.
_MOST_OPEN = 250_000
# Books that change while they are compared (somebody retries a dead letter): look again so often.
_ATTEMPTS = 3

# Events are deleted only once they are in the rollups.
_OWNERS = (
    "SELECT DISTINCT workspace_id, site_id FROM rollups"
    " WHERE cube = 'total' AND site_id IN {sites:Array(String)}"
)

# What a moving dead letter can make look wrong.
_MOVING: frozenset[Check] = frozenset({"stored", "dead_letters", "missing", "not_a_duplicate"})

# What raw events that retention deleted make look wrong.
_DELETED: frozenset[Check] = frozenset({"stored", "missing", "not_a_duplicate"})


class Verifier:
    """`window` and `limit` are those of the index of recent ids: seconds, and number of ids."""

    def __init__(
        self,
        store: Store,
        log: EventLog,
        database: Database,
        *,
        window: Seconds = 86400,
        limit: int = 10_000_000,
    ) -> None:
        self._store = store
        self._log = log
        self._database = database
        self._window = to_millis(window)
        self._limit = limit
        self._rollups = RollupVerifier(store, Builds(database))
        self._retained = RetentionState(database)

    async def run(
        self, start: int, end: int, workspace_id: str | None = None, stop: asyncio.Event | None = None
    ) -> VerifyResult:
        """Compare the hours of receipt from `start` to `end` (ms, whole hours), of a workspace or of all.

        What it costs follows what there is, not how long the range is. Once `stop` is set it answers with
        what is done by then, up to an earlier `end`, and says so.

        Raises Retryable when a part does not answer, or nothing is done at a stop, and Invalid when the range
        is no range.
        """
        result = VerifyResult(start=start, end=start, sites=[], findings=[], total=0, log_from=0, notes=[])
        pieces = await before(stop, self.pieces(start, end, workspace_id))
        for piece in pieces:
            try:
                done = await before(stop, self._piece(piece.start, piece.end, workspace_id))
            except ServerStopping:
                if result.end == start:
                    raise
                break
            result = merge([result, done])
        else:
            result.end = end
        if not pieces:
            return result
        try:
            more = await before(stop, self._whole(start, result.end, workspace_id))
        except ServerStopping:
            result.notes.append(
                "ids that came twice and rollups were not compared: the comparison was stopped"
            )
        else:
            result = merge([result, more])
        if result.end < end:
            result.notes.append(f"stopped: what was received from {iso(result.end)} on was not compared")
        return result

    async def _whole(self, start: int, end: int, workspace_id: str | None) -> VerifyResult:
        """What is compared of the whole range at once."""
        found = await self._doubled_ids(start, end, workspace_id)
        found += await self._rollups.run(start, end, workspace_id)
        notes = await self._rollups.not_compared(start, end, workspace_id)
        listed = found[:MOST_FINDINGS]
        return VerifyResult(
            start=start, end=end, sites=[], findings=listed, total=len(found), log_from=0, notes=notes
        )

    async def pieces(self, start: int, end: int, workspace_id: str | None = None) -> list[Piece]:
        """The parts of a range, as of `run`, in which there is anything to compare. Raises as `run`."""
        if start % HOUR or end % HOUR or not start < end:
            raise Invalid("a range goes from one full hour to a later one", field="start")
        busy = Busy(self._store, self._log, self._database, workspace_id)
        return cut(await busy.hours(start, end))

    async def _piece(self, start: int, end: int, workspace_id: str | None) -> VerifyResult:
        result, moving = await self._attempt(start, end, workspace_id)
        for _ in range(_ATTEMPTS - 1):
            if not moving or not result.total:
                break
            result, moving = await self._attempt(start, end, workspace_id)
        if moving:
            result.findings = [
                each
                for each in result.findings
                if each.check not in _MOVING or (each.workspace_id, each.site_id, each.hour) not in moving
            ]
            result.total = len(result.findings)
            result.notes.append("dead letters were being retried: hours with such were not compared")
        result.findings = result.findings[:MOST_FINDINGS]
        return result

    async def _attempt(self, start: int, end: int, workspace_id: str | None) -> tuple[VerifyResult, set[Key]]:
        """Compare once. Also: the hours whose dead letters changed meanwhile."""
        books = await read_snapshot(self._database, start, end, workspace_id)
        rows = Rows(self._store, start, end, workspace_id)
        open_from = {shard: books.first_open_seq(shard) for shard in books.closed}
        by_hour = await rows.by_hour(open_from)
        deleted = await self._retained.deleted()
        by_workspace = await self._by_workspace(deleted)
        known = await known_since(self._database, start, end)
        firsts = FirstCopies(
            {name: max(each.received for each in gone) for name, gone in by_workspace.items()},
            known,
            self._window,
        )
        audit = LogAudit(
            self._log, self._store, books, start, end, workspace_id, deleted=deleted, firsts=firsts
        )
        await audit.run()
        doubled = await rows.doubled_positions(sum(closed + above for closed, above in by_hour.values()))
        found = [*_balance(books), *_stored(books, by_hour), *audit.findings()]
        found += [
            finding("doubled_position", each.key, 1, each.rows, positions([each.position]))
            for each in doubled
        ]
        open_records = await rows.open_records(open_from, _MOST_OPEN) if _any_open(by_hour) else {}
        # Read after the rows: whatever was inserted then is planned or closed now.
        later = await read_snapshot(self._database, start, end, workspace_id)
        found += _out_of_plan(later, open_records)
        found, notes = _not_deleted(found, await self._retained.deleted())
        notes += [FIRSTS_UNKNOWN] if audit.firsts_unknown else []
        result = VerifyResult(
            start=start,
            end=end,
            sites=figures(books.counts, by_hour, audit.figures),
            findings=found,
            total=len(found),
            log_from=audit.complete_from,
            notes=notes,
            unreadable=len(audit.unreadable | books.unreadable),
        )
        return result, _moving(books, later)

    async def _by_workspace(self, deleted: Mapping[str, Deleted]) -> dict[str, list[Deleted]]:
        """What was deleted of each workspace; under "": of sites without rollups, of which none is known.

        An id belongs to a workspace: what was deleted of another one was no first copy.
        """
        if not deleted:
            return {}
        owners = await self._store.query(_OWNERS, {"sites": list(deleted)}, lane="house")
        found: dict[str, list[Deleted]] = {}
        for workspace, site in owners:
            found.setdefault(workspace, []).append(deleted[site])
        if unknown := [deleted[site] for site in deleted.keys() - {site for _, site in owners}]:
            found[""] = unknown
        return found

    async def _doubled_ids(self, start: int, end: int, workspace_id: str | None) -> list[Finding]:
        since = start - self._window
        rows = Rows(self._store, since, end, workspace_id)
        everybody = Rows(self._store, since, end, None)
        kinds = [await everybody.all_by_hour(without_key=kind) for kind in (False, True)]
        found: list[Finding] = []
        between = [_Between(by_hour) for by_hour in kinds]
        for each in await rows.doubled_ids(start, sum(sum(by_hour.values()) for by_hour in kinds)):
            promised = any(
                later - earlier < self._window and between[each.without_key](earlier, later) <= self._limit
                for earlier, later in _pairs(each)
            )
            key = (each.workspace_id, each.site_id, each.received_at[-1] // HOUR * HOUR)
            found.append(
                finding(
                    "doubled_id",
                    key,
                    1,
                    len(each.received_at),
                    (each.event_id,),
                    level="error" if promised else "warning",
                )
            )
        return found


class _Between:
    """How many rows at most were received between two times: an index of so many ids held the first one."""

    def __init__(self, by_hour: Mapping[int, int]) -> None:
        self._hours = sorted(by_hour)
        self._sums = [0, *accumulate(by_hour[hour] for hour in self._hours)]

    def __call__(self, earlier: int, later: int) -> int:
        first = bisect_left(self._hours, earlier // HOUR * HOUR)
        last = bisect_right(self._hours, later // HOUR * HOUR)
        return self._sums[last] - self._sums[first]


def _pairs(doubled: DoubledId) -> Iterable[tuple[int, int]]:
    return zip(doubled.received_at, doubled.received_at[1:], strict=False)


def _balance(books: LedgerSnapshot) -> list[Finding]:
    found: list[Finding] = []
    letters: Counter[Key] = Counter()
    for letter in books.letters.values():
        letters[letter.key] += letter.events
    for key in sorted(books.counts.keys() | letters.keys()):
        outcomes = books.counts.get(key, Counter[str]())
        names = ("stored", "duplicate", "rejected", "dead_lettered", "dropped", "lost")
        accounted = sum(outcomes[name] for name in names)
        if outcomes["received"] != accounted:
            found.append(finding("balance", key, outcomes["received"], accounted))
        if outcomes["dead_lettered"] != letters[key]:
            found.append(finding("dead_letters", key, outcomes["dead_lettered"], letters[key]))
    return found


def _stored(books: LedgerSnapshot, by_hour: Mapping[Key, tuple[int, int]]) -> list[Finding]:
    found: list[Finding] = []
    for key in sorted(books.counts.keys() | by_hour.keys()):
        expected = books.counts.get(key, Counter[str]())["stored"]
        closed, _ = by_hour.get(key, (0, 0))
        if expected != closed:
            found.append(finding("stored", key, expected, closed))
    return found


def _any_open(by_hour: Mapping[Key, tuple[int, int]]) -> bool:
    return any(above for _, above in by_hour.values())


def _out_of_plan(books: LedgerSnapshot, records: Mapping[tuple[int, int], Key]) -> list[Finding]:
    places: dict[Key, list[tuple[int, int]]] = {}
    for (shard, offset), key in records.items():
        if not books.knows(shard, offset):
            places.setdefault(key, []).append((shard, offset * SEQ_PER_RECORD))
    return [
        finding("out_of_plan", key, 0, len(found), positions(found)) for key, found in sorted(places.items())
    ]


def _moving(before: LedgerSnapshot, after: LedgerSnapshot) -> set[Key]:
    """The hours of letters that the worker has, or that came or went in between."""

    def of(books: LedgerSnapshot) -> set[tuple[tuple[int, int], Key]]:
        # A letter of a batch closed since is not part of what is compared.
        return {
            (position, letter.key)
            for position, letter in books.letters.items()
            if position[1] < before.first_open_seq(position[0])
        }

    having = {letter.key for books in (before, after) for letter in books.letters.values() if letter.moving}
    return having | {key for _, key in of(before) ^ of(after)}


def _not_deleted(found: list[Finding], deleted: Mapping[str, Deleted]) -> tuple[list[Finding], list[str]]:
    """Without the findings that come of retention; and the note that there were such."""
    left = [
        each
        for each in found
        if each.check not in _DELETED or not not_compared(deleted, each.site_id, each.hour)
    ]
    if len(left) == len(found):
        return left, []
    return left, [RETAINED]
