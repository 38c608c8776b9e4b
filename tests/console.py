"""The console over a real store and real keys, for tests that ask it questions over HTTP."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx

from footfall.api.app import create_app
from footfall.api.routes.saved import saved_of, saved_routes
from footfall.settings import Settings
from footfall.store import open_store
from footfall.store.arrow import table
from footfall.tenants.directory import Directory
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants

_numbers = itertools.count(1)


class Console:
    """One console on a loop of its own, asked from ordinary (not async) tests.

    `complete_through` is what it is told about the worker; `trouble`, if set, is why it is
    not ready.
    """

    def __init__(self, runner, store, tenants, directory, settings):
        self._parts = (runner, store, tenants, directory, settings)
        self._run, self._store, self._tenants = runner.run, store, tenants
        self.tenants = tenants
        self._keys = {}
        self.complete_through = None
        self.trouble = None
        self._app = create_app(
            store=store,
            directory=directory,
            find_link=tenants.link,
            find_links=tenants.links_by_id,
            settings=settings,
            ready=self._ready,
            complete_through=self._complete_through,
            tags_of=tenants.tagged_links,
            saved_of=saved_of(tenants),
            routers=saved_routes(tenants, directory),
        )

    def with_store(self, store):
        """The same console over another store."""
        runner, _, *rest = self._parts
        return Console(runner, store, *rest)

    def workspace(self, name):
        return self._run(self._tenants.create_workspace(name)).id

    def key(self, workspace, *scopes):
        """The secret of a key with these scopes."""
        if (workspace, scopes) not in self._keys:
            self._keys[workspace, scopes] = self._run(self._tenants.create_key(workspace, "test", scopes))[1]
        return self._keys[workspace, scopes]

    def link(self, workspace):
        return self._run(self._tenants.create_link(workspace, "https://example.com/target"))

    def insert(self, columns):
        """Insert events as the worker does."""
        self._run(self._store.insert(table(columns), f"{next(_numbers):032x}"))

    def get(self, path, key=None, params=(), headers=None):
        return self._request("GET", path, key, headers, params=params or None)

    def head(self, path):
        return self._request("HEAD", path, None)

    def post(self, path, body, key=None):
        return self._request("POST", path, key, json=body)

    @property
    def store(self):
        return self._store

    @property
    def app(self):
        return self._app

    def run(self, work):
        """Run a coroutine on the console's loop."""
        return self._run(work)

    def _request(self, method, path, key, headers=None, **content):
        async def ask():
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            sent = ({"Authorization": f"Bearer {key}"} if key else {}) | (headers or {})
            async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
                return await client.request(method, path, headers=sent, **content)

        return self._run(ask())

    async def _complete_through(self):
        return self.complete_through

    async def _ready(self):
        if self.trouble is not None:
            raise self.trouble
        return {"store": "ok"}


@contextmanager
def open_console(data: Path) -> Iterator[Console]:
    """A console with its data in an empty directory. One at a time: the engine allows one directory."""
    settings = Settings(data=data)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start():
            store = await open_store(settings)
            stack.push_async_callback(store.close)
            await store.migrate()
            metadata = open_metadata(data / "meta.db")
            stack.push_async_callback(metadata.close)
            tenants = Tenants(metadata, settings)
            directory = Directory(tenants, settings)
            await directory.start()
            stack.push_async_callback(directory.stop)
            return store, tenants, directory

        try:
            yield Console(runner, *runner.run(start()), settings)
        finally:
            runner.run(stack.aclose())
