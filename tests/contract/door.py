"""A door in this process: the real application on a real log and a real metadata database."""

import asyncio
import contextlib
import time

import httpx

from footfall.collect.app import create_app
from footfall.collect.clicks import ClickBuffer
from footfall.collect.client import Proxies
from footfall.collect.door import Door
from footfall.collect.sender_context import SenderContexts
from footfall.collect.tally import Tallies
from footfall.components import with_losses
from footfall.enrich.geo import GeoReader
from footfall.eventlog import open_log
from footfall.model.record import decode
from footfall.settings import load
from footfall.state.salts import Salts
from footfall.state.tables import open_state
from footfall.tenants.directory import Directory
from footfall.tenants.model import DEFAULT_WORKSPACE
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants

KEY = "ff_" + "t" * 40
ADDRESS = "203.0.113.77"


class Rig:
    """The door, what it was made of, and what it wrote."""

    def __init__(self, door, tenants, http, salts):
        self.door = door
        self.tenants = tenants
        self.http = http
        self.salts = salts
        self.auth = {"authorization": f"Bearer {KEY}"}

    async def post(self, body, **headers):
        arguments = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.http.post("/v1/events", headers=self.auth | headers, **arguments)

    async def records(self):
        """Every record of the log, in order."""
        found = []
        for shard in await self.door.log.shards():
            stored = await self.door.log.read(shard, -1, 100_000, 1 << 30)
            found += [decode(entry.data) for entry in stored]
        return found

    async def wait_for_events(self, count):
        """The events, as soon as there are `count`: an orphan click is answered before it is durable."""
        async with asyncio.timeout(10):
            while len(events := await self.events()) < count:
                await asyncio.sleep(0.01)
        return events

    async def events(self):
        return [event for record in await self.records() for event in record.events]


@contextlib.asynccontextmanager
async def open_door(tmp_path, *, eventlog=None, client=ADDRESS, **settings):
    settings = load(data=tmp_path, **settings)
    database = open_metadata(tmp_path / "meta.db")
    tenants = Tenants(database, settings)
    await tenants.bootstrap(KEY)
    state = open_state(tmp_path / "state.db")
    salts = Salts(state)
    await salts.refresh(time.time())
    directory = Directory(tenants, settings)
    await directory.start()
    log = eventlog or await open_log(settings)

    async def ready():
        return {}

    try:
        async with (
            with_losses(settings) as reserve,
            Tallies(log, DEFAULT_WORKSPACE, reserve) as tallies,
            ClickBuffer(log, settings.redirect_cap, tallies, settings.click_memory) as clicks,
        ):
            door = Door(
                settings=settings,
                log=log,
                directory=directory,
                visitors=SenderContexts(GeoReader(None), salts, settings.session_timeout),
                proxies=Proxies(settings.trusted_proxies),
                clicks=clicks,
                tallies=tallies,
                ready=ready,
                wait_for_log=settings.redirect_mode == "durable",
            )
            transport = httpx.ASGITransport(create_app(door), client=(client, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
                yield Rig(door, tenants, http, salts)
    finally:
        await directory.stop()
        await log.close()
        await state.close()
        await database.close()
