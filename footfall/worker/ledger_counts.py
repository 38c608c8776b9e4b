"""What a batch is worth in the ledger: received, and what became of each event."""

from collections import Counter
from collections.abc import Iterable, Mapping

from footfall.model.record import SEQ_PER_RECORD
from footfall.model.times import Millis, to_millis
from footfall.state.dead_letters.letter import DeadLetter, event_letter, unreadable_letter
from footfall.state.hours_logged import HourLogged
from footfall.state.ledger import ADJUSTED, LedgerCount, Outcome, hour_of, is_backfilled, received
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.worker.columnar import Columns
from footfall.worker.reader import Placed

# Who is told of a record that cannot be read: nobody knows whose it was.
_NOBODYS = DEFAULT_WORKSPACE


class BatchLedger:
    """The counts of one batch. Letters are not among them: closing a batch counts those itself."""

    def __init__(self, records: Iterable[Placed]) -> None:
        """Counts what came in with each record, and what the door refused of it."""
        # (workspace, site, hour, outcome, reason, backfilled) -> events
        self._counts: Counter[tuple[str, str, int, Outcome, str, bool]] = Counter()
        for placed in records:
            record = placed.record
            if record is None:
                hour = hour_of(to_millis(placed.appended_at))
                self._counts[_NOBODYS, "", hour, "received", "", False] += 1
                continue
            hour, backfilled = hour_of(record.received_at), is_backfilled(record.source)
            for (site, outcome, reason), count in received(record).items():
                self._counts[record.workspace_id, site, hour, outcome, reason, backfilled] += count
            for site, count in Counter([e.site_id for e in record.events if e.occurred_at_original]).items():
                self._counts[record.workspace_id, site, hour, "received", "", backfilled] -= count
                self._counts[record.workspace_id, site, hour, "received", ADJUSTED, backfilled] += count

    def count(self, rows: Columns, outcome: Outcome) -> None:
        """All these rows had this outcome."""
        events = Counter(
            zip(rows["workspace_id"], rows["site_id"], rows["received_at"], rows["source"], strict=True)
        )
        for (workspace, site, at, source), count in events.items():
            self._counts[workspace, site, hour_of(at), outcome, "", is_backfilled(source)] += count

    def counts(self) -> list[LedgerCount]:
        """For the ledger."""
        return [
            LedgerCount(workspace, site, hour, outcome, count, reason, backfilled)
            for (workspace, site, hour, outcome, reason, backfilled), count in self._counts.items()
        ]


def letter_of_record(placed: Placed, now: Millis) -> DeadLetter:
    """For a record that cannot be read. `now` in ms."""
    return unreadable_letter(
        _NOBODYS,
        placed.shard,
        placed.offset * SEQ_PER_RECORD,
        placed.data,
        appended_at=to_millis(placed.appended_at),
        reason=placed.reason,
        failed_at=now,
    )


def letters_of_events(
    records: Iterable[Placed], dead: Mapping[tuple[int, int], tuple[str, str]], now: Millis
) -> list[DeadLetter]:
    """For events of these records: by position the reason and the detail. `now` in ms."""
    if not dead:
        return []
    by_place = {(placed.shard, placed.offset): placed.record for placed in records}
    letters: list[DeadLetter] = []
    for (shard, seq), (reason, detail) in dead.items():
        offset, index = divmod(seq, SEQ_PER_RECORD)
        if record := by_place[shard, offset]:
            letters.append(
                event_letter(record, index, shard, seq, reason=reason, failed_at=now, detail=detail)
            )
    return letters


def hours_of(records: Iterable[Placed]) -> list[HourLogged]:
    """Where in the log what was received in each hour lies."""
    ends: dict[tuple[int, int], tuple[int, int]] = {}
    for placed in records:
        if placed.record:
            key, at = (hour_of(placed.record.received_at), placed.shard), placed.offset
            first, last = ends.get(key, (at, at))
            ends[key] = min(first, at), max(last, at)
    return [HourLogged(*key, *between) for key, between in ends.items()]
