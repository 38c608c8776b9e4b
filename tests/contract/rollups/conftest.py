"""One store for the tests of a module, and for each test a world on it, emptied."""

import pytest

from tests.contract.installation import one_store
from tests.contract.sliced import new_world


@pytest.fixture(scope="module")
async def store(tmp_path_factory):
    async with one_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
async def world(store, tmp_path):
    """A slice is due as soon as anything waits."""
    async with new_world(store, tmp_path, due=1) as world:
        yield world
