"""One store for the tests of a module, and for each test a world on it, emptied."""

from contextlib import contextmanager

import pytest

from footfall.errors import StoreDown
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


@pytest.fixture
def failing(world, monkeypatch):
    """`with failing(text, number)`: within it the statements with this text fail from the number-th on."""

    @contextmanager
    def block(text, number=1):
        real, seen = world.store.build, []

        async def build(sql, parameters=None):
            seen.extend([sql] if text in sql else [])
            if text in sql and len(seen) >= number:
                raise StoreDown("no answer")
            await real(sql, parameters)

        with monkeypatch.context() as patch:
            patch.setattr(world.store, "build", build)
            with pytest.raises(StoreDown):
                yield

    return block
