"""Pages of applications that keep their routes behind a hash, where that is set."""

from tests.contract.wild.world import World
from tests.e2e.serving import serving


def test_routes_behind_a_hash_are_pages_of_their_own(tmp_path):
    with serving(tmp_path / "data", FOOTFALL_HASH_ROUTES="true", FOOTFALL_BATCH_AGE="0.02s") as server:
        world = World(server)
        try:
            name = world.event(page_url="https://example.com/app#/users?tab=1")
            assert world.stored(name, "page_path") == ("/app#/users",)
            plain = world.event(page_url="https://example.com/app#top")
            assert world.stored(plain, "page_path") == ("/app",)
        finally:
            world.visitor.close()
