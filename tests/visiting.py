"""What visitors do, prepared and stored as the worker does, and asked for over HTTP."""

import itertools
from datetime import UTC, datetime

from footfall.model.ids import uuid7
from footfall.model.record import SEQ_PER_RECORD, RawEvent, Record, SenderContext
from footfall.state.batches import SeqRange
from footfall.worker.dedup.by_key import RecentIdsByKey
from footfall.worker.prepare import Preparer
from footfall.worker.reader import Placed, RecordBatch
from footfall.worker.sessions import Sessions

MINUTE = 60_000
START = 1_760_000_000_000 // 86_400_000 * 86_400_000 + 600 * MINUTE
"""10:00 UTC; each workspace has a day of its own after it."""
SHARD = 2**63 + 11
TIMEOUT = 1800
_days = itertools.count()
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


def did(visitor, minute, kind="page_view", page="", referrer="", *, site="shop", country="DE", **fields):
    """One event: `minute` after START; `page` is a path of the site, or a URL."""
    host = f"https://{site or 'none'}.example"
    return (
        RawEvent(
            uuid7(START),
            kind,
            START + round(minute * MINUTE),
            site_id=site,
            visitor_id=visitor,
            device_hash=fields.pop("device", visitor),
            page_url=host + page if page.startswith("/") else page,
            referrer=referrer,
            **fields,
        ),
        country,
    )


class Visiting:
    """One workspace of a console."""

    def __init__(self, console, name):
        self.console = console
        self.workspace = console.workspace(name)
        self.key = console.key(self.workspace, "read")
        self.later = next(_days) * 86_400_000
        self.day = datetime.fromtimestamp((START + self.later) / 1000, UTC).date().isoformat()
        self._offset = 0
        self._sessions = Sessions(timeout=TIMEOUT, memory=1000)

    def restart(self):
        """The worker begins again: all it knows is what is stored."""
        self._sessions = Sessions(timeout=TIMEOUT, memory=1000)
        self.console.run(self._sessions.load(self.console.store))

    def batch(self, *events):
        """One batch, each event of a record of its own."""
        self._take([[each] for each in events])

    def request(self, *events):
        """One batch of one record, as a request makes it."""
        self._take([events])

    def _take(self, requests):
        placed = []
        for events in requests:
            for event, _ in events:
                event.occurred_at += self.later
            senders = [SenderContext(CHROME, country_code=country) for _, country in events]
            made = [event for event, _ in events]
            for place, event in enumerate(made):
                event.visit = place
            record = Record(1, made[-1].occurred_at, self.workspace, "api", made, senders)
            placed.append(
                Placed(SHARD + len(self.workspace), self._offset, record.received_at / 1000, 10, record, "")
            )
            self._offset += 1
        last = self._offset * SEQ_PER_RECORD
        ranges = (SeqRange(placed[0].shard, placed[0].offset, self._offset - 1, 0, last),)
        preparer = Preparer(self._sessions, RecentIdsByKey())
        rows = preparer.prepare(RecordBatch(ranges, placed)).rows
        self.console.run(self.console.store.insert(rows, uuid7(START).hex()))

    def ask(self, metrics, *dimensions, filters=(), **more):
        """Rows of the whole day as {dimensions: metrics}; a single one of either without a tuple."""
        answer = self.answer(metrics, *dimensions, filters=filters, **more)

        def plain(values):
            return values[0] if len(values) == 1 else tuple(values)

        rows = {
            plain(row["dimensions"]) if dimensions else (): plain(row["metrics"]) for row in answer["results"]
        }
        return rows if dimensions else rows[()]

    def answer(self, metrics, *dimensions, filters=(), **more):
        body = {
            "metrics": [metrics] if isinstance(metrics, str) else list(metrics),
            "dimensions": list(dimensions), "filters": list(filters), "date_range": [self.day, self.day],
        } | more  # fmt: skip
        found = self.console.post("/v1/query", body, self.key)
        assert found.status_code == 200, found.text
        return found.json()
