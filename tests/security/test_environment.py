"""What the processes of a server that has just started know of its secrets, and say of their loops."""

import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.serving import KEY, serving
from tests.security.watching import LONGEST


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("started") / "data", FOOTFALL_KEY=f"{KEY}-of-commands") as server:
        yield server


def test_the_admin_key_is_not_in_the_environment_of_the_roles(started):
    children = started.children()
    assert set(children) == {"door", "worker"}
    for pid in children.values():
        assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    started.send(1)  # and it still opens the door


def test_the_start_of_a_process_is_no_hold_of_its_loop(started):
    for port in (started.port, started.console_port):
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
        found = re.search(r"^footfall_loop_longest_hold_seconds (\S+)", told, re.MULTILINE)
        assert float(found[1]) < LONGEST
