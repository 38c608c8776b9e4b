"""What the processes of a server know of its secrets."""

from pathlib import Path

from tests.e2e.serving import KEY, serving


def test_the_admin_key_is_not_in_the_environment_of_the_roles(tmp_path):
    with serving(tmp_path / "data", FOOTFALL_KEY=f"{KEY}-of-commands") as server:
        children = server.children()
        assert set(children) == {"door", "worker"}
        for pid in children.values():
            assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        server.send(1)  # and it still opens the door
