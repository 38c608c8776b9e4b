"""The books of an installation: state and tenants, a log, and the API over them."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import httpx
from litestar import Litestar

from footfall.api.problems import exception_handlers, strict_body
from footfall.api.routes.dead_letters import dead_letter_routes
from footfall.api.routes.ledger import ledger_routes
from footfall.api.routes.tenants import tenant_routes
from footfall.database import place_of
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.http.server import serve_http
from footfall.model.ids import uuid7
from footfall.model.record import RawEvent, Record, SenderContext, Tally, encode
from footfall.runtime.tcp_ports import free_port
from footfall.state.batches import Batches, BatchPlan, Closing, SeqRange
from footfall.state.dead_letters.letter import event_letter
from footfall.state.dead_letters.letters import DeadLetters
from footfall.state.ledger import HOUR, Ledger, LedgerCount
from footfall.state.tables import open_state
from footfall.tenants.directory import Directory
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants
from footfall.worker.in_flight import InFlightCounter

NINE = 492_993 * HOUR  # 2026-03-29T09:00:00Z
SHARD = 0xFEDC_BA98_7654_3210


class Books:
    """What the worker writes and users read; `ask` speaks HTTP with the API."""

    def __init__(self, database, log, tenants, directory):
        self.database, self.log, self.tenants = database, log, tenants
        self.batches, self.letters, self.ledger = Batches(database), DeadLetters(database), Ledger(database)
        self.in_flight = InFlightCounter(log)
        self.app = Litestar(
            [
                ledger_routes(self.ledger, directory, self._in_flight),
                dead_letter_routes(self.letters, directory),
                *tenant_routes(tenants, directory),
            ],
            exception_handlers=exception_handlers,
            before_request=strict_body,
            logging_config=None,
        )
        self._keys = {}
        self._offset = 0

    async def _in_flight(self, *asked):
        return await self.in_flight(*asked)

    async def close(self, *counts, letters=()):
        """Close one batch, of the next record of SHARD."""
        offset = self._offset
        self._offset += 1
        plan = BatchPlan(
            uuid.uuid4().hex, (SeqRange(SHARD, offset, offset, offset * 4096, offset * 4096),), 1, 0, 0, 1
        )
        await self.batches.plan(plan)
        await self.batches.close(plan, Closing(counts, letters))

    async def append(self, data):
        await self.log.append(Entry("key", data if isinstance(data, bytes) else encode(data)))

    async def key(self, workspace, scope):
        if (workspace, scope) not in self._keys:
            self._keys[workspace, scope] = (await self.tenants.create_key(workspace, "test", [scope]))[1]
        return self._keys[workspace, scope]

    async def ask(self, method, path, workspace, scope="admin", **request):
        headers = {"Authorization": f"Bearer {await self.key(workspace, scope)}"} if scope else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)  # pyright: ignore[reportArgumentType] - Litestar has types of its own for ASGI
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
            return await client.request(method, path, headers=headers, **request)

    @asynccontextmanager
    async def serving(self):
        """The API's URL, as long as the block lasts."""
        port, stop = free_port("127.0.0.1"), asyncio.Event()
        server = asyncio.create_task(serve_http(self.app, "127.0.0.1", port, stop))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop.set()
            await server

    async def command(self, call, *arguments, workspace, **options):
        """Run a command of the CLI against the API, in a thread as it has a loop of its own."""
        async with self.serving() as url:
            key = await self.key(workspace, "admin")
            return await asyncio.to_thread(call, *arguments, url=url, key=key, **options)

    async def lines(self, workspace, **asked):
        """The ledger as {(outcome, reason): events}."""
        books = await self.ledger.books(workspace, 0, 2**60, **asked)
        return {(line.outcome, line.reason): line.events for line in books.lines}


@asynccontextmanager
async def open_books(settings):
    database = open_state(place_of(settings, "state"))
    tenants = Tenants(open_metadata(place_of(settings, "meta")), settings)
    directory = Directory(tenants, settings)
    await directory.start()
    log = await open_log(settings)
    try:
        yield Books(database, log, tenants, directory)
    finally:
        await log.close()
        await directory.stop()
        await tenants.database.close()
        await database.close()


def count(workspace, outcome, number, *, site="site_a", hour=NINE, reason="", backfilled=False):
    return LedgerCount(workspace, site, hour, outcome, number, reason, backfilled)


def record(workspace, *events, received_at=NINE + 5, tallies=(), source="api", visits=None):
    """A record whose events all share one visit, unless `visits` says otherwise."""
    return Record(
        1,
        received_at,
        workspace,
        source,
        list(events),
        visits or [SenderContext("Firefox", country_code="DE", city="Ulm", latitude=48.4, longitude=10.0)],
        [Tally(*tally) for tally in tallies],
        "key_1",
    )


def event(site="site_a", **fields):
    return RawEvent(uuid7(), "page_view", NINE, site_id=site, **fields)


def letter(workspace, seq, *, reason="unprocessable", failed_at=1000, shard=SHARD, **fields):
    """The letter of one event, with its place in the log made up."""
    made = record(workspace, event(**fields))
    return event_letter(made, 0, shard, seq, reason=reason, failed_at=failed_at, detail="ValueError")


def received_with(letters):
    """The counts that go with letters in a closing."""
    return [
        LedgerCount(one.workspace_id, one.site_id, one.hour, "received", one.events, "", one.backfilled)
        for one in letters
    ]
