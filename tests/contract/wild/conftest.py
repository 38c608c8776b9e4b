"""One `footfall serve` for all tests of this folder."""

import pytest

from tests.contract.wild.world import World
from tests.e2e.serving import serving


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("wild") / "data", FOOTFALL_BATCH_AGE="0.02s") as server:
        world = World(server)
        yield world
        world.visitor.close()
