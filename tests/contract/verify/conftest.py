"""One store for the tests of a module; for each test a world on it, emptied, and the API over that."""

import asyncio
import time

import pytest
from litestar import Litestar

from footfall.api.problems import exception_handlers, strict_body
from footfall.api.routes.retention import retention_routes
from footfall.api.routes.tenants import tenant_routes
from footfall.api.routes.verify import verify_routes
from footfall.retention.policy import Retention
from footfall.rollups.maintenance import RollupMaintainer
from footfall.settings import Settings, load
from footfall.tenants.directory import Directory
from tests.contract.books import open_books
from tests.contract.verified import open_engine, open_world


@pytest.fixture(scope="module")
async def engine(tmp_path_factory):
    async with open_engine(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
async def world(tmp_path, engine, monkeypatch):
    await asyncio.to_thread(engine._handles.commands.command, "TRUNCATE TABLE rollups")
    async with open_world(tmp_path, engine, monkeypatch) as opened:
        yield opened


@pytest.fixture
async def api(world, tmp_path):
    """The routes over the world, with keys; "local" is the token of this machine's commands."""
    settings = Settings(data=tmp_path)
    async with open_books(load(data=tmp_path / "tenants")) as books:
        directory = Directory(books.tenants, settings, lambda token: token == "local")
        await directory.start()
        world.rollups = RollupMaintainer(world.store, world.database, None, books.tenants.timezones, settings)
        world.later = 91 * 86400

        async def believed():
            return time.time() + world.later

        world.retention = Retention(world.store, world.database, settings, world.rollups, None, believed, 0)
        books.app = Litestar(
            [
                retention_routes(world.retention, world.rollups, directory),
                verify_routes(world.verifier, directory),
                *tenant_routes(books.tenants, directory),
            ],
            exception_handlers=exception_handlers,
            before_request=strict_body,
            logging_config=None,
        )
        yield books
        await directory.stop()


@pytest.fixture
async def acme(api):
    return (await api.tenants.create_workspace("acme")).id
