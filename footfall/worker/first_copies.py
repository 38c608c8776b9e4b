"""Which events of a batch count: all but those that were counted before, or stand earlier in the batch."""

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np
import structlog

from footfall import metrics
from footfall.model.record import WITHOUT_KEY, RawEvent
from footfall.state.ledger import is_backfilled
from footfall.worker.columnar import Columns
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.dedup.keys import Ids, Mask, payload_digests
from footfall.worker.dedup.sorted_run import SortedRun

log = structlog.get_logger(__name__)

Position = tuple[int, int]
"""Of an event: shard and seq."""


class PendingIds(NamedTuple):
    """Ids of a batch that is planned and not closed. `oldest`: when its first record came (Unix s)."""

    run: SortedRun
    oldest: float


class FirstCopies(NamedTuple):
    """Which events count, all but the duplicates; and the ids that clients sent with those.

    `known_from`: no first copy of a duplicate came before (Unix seconds), but those of the batch itself.
    """

    ids: Ids
    keep: Mask
    known_from: float


def first_copies(
    recent: RecentIdsByKey,
    rows: Columns,
    events: Sequence[RawEvent],
    pending: Sequence[PendingIds],
    present: Container[Position],
) -> FirstCopies:
    """Decide which events are duplicates; what is `present` in the store is none.

    Ids made at the door are not looked at: they cannot come twice. Those of imported events are made
    of their lines: of them the index holds those under which a letter was stored.
    """
    known_from = min([recent.reach, *(each.oldest for each in pending)])
    keep = np.ones(len(events), np.bool_)
    if any(map(is_backfilled, set(rows["source"]))):
        imported = [index for index, source in enumerate(rows["source"]) if is_backfilled(source)]
        again = recent.known(_identify(recent, rows, events, imported))
        keep[imported] = ~again | _are_in(rows, imported, present)
    sent = np.flatnonzero(np.array(rows["client_id"], np.bool_))
    if not len(sent):
        return FirstCopies(Ids.none(), keep, known_from)
    chosen = sent.tolist()
    ids = _identify(recent, rows, events, chosen)
    verdict = recent.check(ids, [each.run for each in pending])
    duplicate = verdict.duplicate & ~_are_in(rows, chosen, present)
    keep[sent] = ~duplicate
    if conflicts := int(verdict.conflict.sum()):
        metrics.ID_CONFLICTS.inc(conflicts)
        log.warning("ids came again with another payload; the first one counts", events=conflicts)
    return FirstCopies(Ids(ids.key[~duplicate], ids.rest[~duplicate]), keep, known_from)


def _identify(
    recent: RecentIdsByKey, rows: Columns, events: Sequence[RawEvent], chosen: Sequence[int]
) -> Ids:
    return recent.identify(
        [rows["workspace_id"][i] for i in chosen],
        [rows["event_id"][i] for i in chosen],
        payload_digests(events[i] for i in chosen),
        [rows["source"][i] in WITHOUT_KEY for i in chosen],
    )


def _are_in(rows: Columns, chosen: Sequence[int], places: Container[Position]) -> Mask:
    """Of the chosen rows, which positions are among `places`."""
    if not places:
        return np.zeros(len(chosen), np.bool_)
    return np.array([(rows["shard"][i], rows["seq"][i]) in places for i in chosen], np.bool_)
