"""Small doors: addresses that are none, links that lead back, reserved codes, files others could read."""

import os
import stat
import subprocess
import sys

import pytest

from footfall.collect.client import Proxies
from footfall.errors import Invalid, Misconfigured
from footfall.settings import load
from footfall.tenants.links.links import create
from footfall.tenants.model import Link
from tests.contract.door import open_door

pytestmark = pytest.mark.anyio

PAGE = {"event_type": "page_view", "page_url": "https://shop.example/a"}


@pytest.mark.parametrize(
    "address", ["not an ip", "1.2.3", "1.2.3.4.5", "1.2.3.4:port", "[::1", "localhost", "x" * 150]
)
async def test_an_address_that_is_none_is_refused_without_being_repeated(tmp_path, address):
    async with open_door(tmp_path) as rig:
        answer = await rig.post([PAGE, PAGE | {"ip_address": address}, PAGE | {"ip": " 8.8.8.8 "}])
        assert len(await rig.events()) == 2
    [verdict] = answer.json()["results"]
    assert (verdict["index"], verdict["field"]) == (1, "ip_address")
    assert address not in verdict["message"]


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "::ffff:a00:1", "::ffff:0:0/96", "10.0.0.1"])
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"])
def test_a_network_of_mapped_addresses_is_one_of_its_proxies(network, peer):
    proxies = Proxies(load(trusted_proxies=network).trusted_proxies)
    assert proxies.client_ip(peer, "203.0.113.9") == "203.0.113.9"
    assert (
        proxies.client_ip("192.0.2.1" if "/96" not in network else "2001:db8::1", "203.0.113.9")
        != "203.0.113.9"
    )


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("10.0.0.0/8,proxy.internal", "proxy.internal"),
        ("10.0.0.0/40", "10.0.0.0/40"),
        ("10.0.0.0/8 192.168.0.0/16", "10.0.0.0/8 192.168.0.0/16"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("fd00::1/8", "fd00::/8"),
        ("*", "*"),
    ],
)
def test_a_wrong_proxy_is_named_in_the_words_of_whoever_wrote_it(monkeypatch, given, wrong):
    monkeypatch.setenv("FOOTFALL_TRUSTED_PROXIES", given)
    with pytest.raises(Misconfigured) as refusal:
        load()
    [_, line] = str(refusal.value).splitlines()
    assert line.startswith("  trusted_proxies = ")
    assert wrong in line.split(": ", 1)[1]
    assert "IPv4Network" not in line
    assert "valid" not in line


@pytest.mark.parametrize("code", ["V1", "API", "Health", "METRICS", "Docs", "openapi", "v1"])
async def test_reserved_codes_are_reserved_in_any_case(tmp_path, code):
    async with open_door(tmp_path) as rig:
        with pytest.raises(Invalid, match="reserved"):
            await rig.tenants.create_link("default", "https://example.com/", code=code)


OWN = [
    "http://[::ffff:127.0.0.1]:8000/x", "http://[::ffff:7f00:1]:8000/x", "http://127.0.0.2:8000/x",
    "http://127.255.255.254:8000/x", "http://[::]:8000/x", "http://[0:0:0:0:0:0:0:0]:8000/x", "http://0.0.0.0:8000/x",
    "http://[::ffff:0.0.0.0]:8000/x", "http://x.localhost:8000/x", "http://a.b.LOCALHOST:8000/x",
    "http://localhost.:8000/x", f"http://{os.uname().nodename}:8000/x",
]  # fmt: skip


@pytest.mark.parametrize("url", OWN)
async def test_no_link_leads_to_the_door_under_another_name(tmp_path, url):
    async with open_door(tmp_path) as rig:
        with pytest.raises(Invalid, match="point back"):
            await rig.tenants.create_link("default", url)
        link = await rig.tenants.create_link("default", "https://example.com/")
        with pytest.raises(Invalid, match="point back"):
            await rig.tenants.update_link("default", link.id, url=url)
        other = await rig.tenants.create_link("default", url.replace(":8000", ":3000"))
    assert other.url


@pytest.mark.parametrize("url", [OWN[0], OWN[8]])
async def test_a_link_that_was_made_before_leads_nowhere_and_counts_nothing(tmp_path, url):
    async with open_door(tmp_path) as rig:
        made = Link("link_old", "default", "", "old", url)
        await rig.tenants._write(create, made, ())
        answer = await rig.http.get("/old")
        await rig.door.clicks._loop.stop()
        assert await rig.events() == []
    assert answer.status_code == 404
    assert "location" not in answer.headers


async def test_a_domain_that_is_registered_later_is_no_loop_and_hurts_no_other_workspace(tmp_path):
    async with open_door(tmp_path) as rig:
        other = await rig.tenants.create_workspace("Other")
        for workspace, code in (("default", "ours"), (other.id, "theirs")):
            await rig.tenants.create_link(workspace, "https://later.example/x", code=code)
        await rig.tenants.create_link("default", "https://example.com/", code="x", domain="later.example")
        await rig.door.directory._apply_changes()
        ours, theirs = await rig.http.get("/ours"), await rig.http.get("/theirs")
    assert (ours.status_code, theirs.status_code) == (404, 302)


@pytest.mark.parametrize("umask", [0o000, 0o022])
@pytest.mark.parametrize("existed", [True, False])
def test_files_are_private_whatever_the_umask(tmp_path, umask, existed):
    data = tmp_path / "data"
    if existed:
        for path in (data, data / "store", data / "log"):
            path.mkdir(mode=0o755)
            path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "footfall", "migrate", "--data", str(data)],
        umask=umask,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert mode(data) == 0o700
    assert not [path for path in data.rglob("*") if mode(path) & 0o077 and path != data / "log"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_store_of_a_data_directory_that_existed_is_private(tmp_path):
    data = tmp_path / "data"
    (data / "store").mkdir(parents=True)
    for path in (data, data / "store"):
        path.chmod(0o777)
    subprocess.run(
        [sys.executable, "-m", "footfall", "migrate", "--data", str(data)], cwd=tmp_path, check=True
    )
    assert (mode(data), mode(data / "store")) == (0o700, 0o700)
