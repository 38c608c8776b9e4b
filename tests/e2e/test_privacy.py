"""No address at rest (P5): a real server, addresses planted at every entrance, every byte looked at.

What a sender writes into free text (properties, user agent, URLs) is the sender's content and is
stored as it is; docs/guarantees.md says so. Here that is the control: those addresses must be found,
which shows that the search would find the others.
"""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import time
from ipaddress import ip_address

import httpx
import pytest

from tests.e2e.serving import KEY, environment, serving, until

PROXY = "127.0.0.99"

# By entrance. Those of the net have a country; the others are of this machine.
SOCKETS = ("127.83.12.201", "127.83.12.202", "127.201.77.13", "127.44.190.8")
FORWARDED = ("193.0.6.139", "81.200.64.50", "2001:67c:2e8:22::c100:68b", "2a00:1450:4001:81b::200e")
HOPS = ("217.160.0.187", "2003:de:4f1e:9c3a:77aa:bb01:cc02:dd03")  # left of the client: not believed
UNTRUSTED = ("62.138.116.3", "2a02:2e0:3fe:1001:302::7")  # from somebody who is no proxy
BODY = ("195.20.250.231", "2a01:4f8:c17:b8f:91aa:12cd:9ef1:5503", "2001:0DB8:00AA:0000:0000:1234:0000:9F01")
BROKEN = ("146.0.42.126", "2a0a:e5c0:2:2:400:c8ff:fe68:bef3")  # in requests that are refused
IMPORTED = ("178.63.88.40", "2a03:4000:6:e0f4:b0aa:11cc:22dd:33ee")
CONSOLE = ("127.91.5.77",)
PLANTED = (*SOCKETS, *FORWARDED, *HOPS, *UNTRUSTED, *BODY, *BROKEN, *IMPORTED, *CONSOLE)

# Free text, which nobody but the sender knows to be an address.
CONTROLS = ("85.13.130.202", "2a01:238:20a:202:1073:aa55:77ee:1199")

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

# Everything that the store holds, uncompressed; no other process may have it open.
DUMP = """
import asyncio, sys
from pathlib import Path
from footfall.settings import Settings
from footfall.store import open_store

async def main():
    store = await open_store(Settings(data=Path(sys.argv[1])))
    tables = await store.query(
        "SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree%' OR engine LIKE '%Log'"
    )
    for database, name in tables:
        for row in await store.query(f"SELECT * FROM `{database}`.`{name}`"):
            print(database, name, row)
    await store.close()

asyncio.run(main())
"""


def forms(address):
    """How an address could have been written: text, packed, as a number, encoded, hashed without a key."""
    parsed = ip_address(address)
    texts = {address, address.lower(), str(parsed), parsed.exploded}
    number = str(int(parsed))
    found = {text.encode() for text in texts}
    found |= {text.encode("utf-16-le") for text in texts}
    if parsed.version == 6:
        found |= {parsed.packed, parsed.packed[::-1], parsed.packed.hex().encode(), number.encode()}
        found.add(parsed.packed[:8])  # the network of a household
    else:
        found |= {
            b"\xce" + parsed.packed,  # a MessagePack number
            b"\xff\xff" + parsed.packed,  # mapped to version 6
            number.encode(),
        }
    for content in (str(parsed).encode(), parsed.packed):
        for name in ("md5", "sha1", "sha256", "blake2b"):
            digest = hashlib.new(name, content).digest()
            found |= {digest[:16], digest.hex()[:32].encode()}
    encoded = base64.b64encode(str(parsed).encode()).rstrip(b"=")
    found.add(encoded[: len(encoded) - len(encoded) % 4])
    return found


def traces(content, addresses):
    """Which of the addresses are in these bytes, in whatever form."""
    return {address for address in addresses if any(form in content for form in forms(address))}


def search(server, addresses):
    """Address -> names of the files that hold it. Free pages and write-ahead logs are parts of files."""
    found = {}
    looked = 0
    for path in [server.output, *server.data.rglob("*")]:
        try:
            content = path.read_bytes()
        except (IsADirectoryError, FileNotFoundError):
            continue
        looked += 1
        names = f"{path.name}".encode()
        for address in traces(content + names, addresses):
            found.setdefault(address, set()).add(path.name)
    assert looked > 10
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A server behind a proxy that it trusts, after all addresses were sent to it."""
    directory = tmp_path_factory.mktemp("privacy")
    (directory / "footfall.toml").write_text(f'trusted_proxies = ["{PROXY}/32"]\nlog_level = "debug"\n')
    with serving(directory / "data") as server:
        send_everything(server)
        until(lambda: in_flight(server) == 0)
        yield server


def client(server, source, *, console=False):
    """Somebody at this address of the machine."""
    port = server.console_port if console else server.port
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        transport=httpx.HTTPTransport(local_address=source),
        headers={"User-Agent": AGENT},
        timeout=30,
    )


def in_flight(server):
    return server.console.get("/api/v1/ledger").raise_for_status().json()["data"]["in_flight"]


def send_everything(server):
    with_key = {"Authorization": f"Bearer {KEY}"}
    site = server.console.get("/api/v1/sites").json()["data"][0]["id"]
    with client(server, CONSOLE[0], console=True) as somebody:
        made = somebody.post(
            "/api/v1/links", json={"url": "https://example.com/", "code": "hi"}, headers=with_key
        )
        assert made.status_code == 201, made.text
        somebody.get("/api/v1/analytics/overview", headers={"Authorization": "Bearer ff_wrong"})
        somebody.get("/nothing/here")

    for source in SOCKETS:
        with client(server, source) as somebody:
            use(somebody, site, {})
    with client(server, PROXY) as proxy:
        for address in FORWARDED:
            use(proxy, site, {"X-Forwarded-For": f"{HOPS[0]}, {HOPS[1]}, {address}"})
            use(
                proxy, site, {"X-Forwarded-For": f"[{address}]:4711" if ":" in address else f"{address}:4711"}
            )
        # Headers that we do not read at all.
        use(
            proxy,
            site,
            {"X-Real-IP": HOPS[0], "Forwarded": f'for="[{HOPS[1]}]"', "X-Forwarded-For": FORWARDED[0]},
        )
    with client(server, SOCKETS[0]) as somebody:
        for address in UNTRUSTED:
            use(somebody, site, {"X-Forwarded-For": address})
        for address in BODY:
            event = {"event_type": "order", "ip_address": address, "user_agent": AGENT}
            answer = somebody.post("/v1/events", json={"events": [event, event]}, headers=with_key)
            assert answer.json()["accepted"] == 2
            zipped = gzip.compress(json.dumps(event).encode())
            headers = {**with_key, "Content-Encoding": "gzip", "Content-Type": "application/json"}
            assert somebody.post("/v1/events", content=zipped, headers=headers).status_code == 202
            # Without a key it is ignored: nobody may speak for others.
            beacon = {"site_id": site, "events": [event]}
            assert somebody.post("/v1/events", content=json.dumps(beacon)).status_code == 202
        refused(somebody, site, with_key)
        for address in CONTROLS:
            event = {"event_type": "control", "properties": {"server": address}}
            assert somebody.post("/v1/events", json=event, headers=with_key).json()["accepted"] == 1
    import_log(server, site)


def use(somebody, site, headers):
    """All that a visitor can do."""
    assert somebody.get("/hi", headers=headers).status_code == 302
    assert somebody.get("/no-such-code", headers=headers).status_code == 404
    assert somebody.get("/v1/pixel.gif", params={"site_id": site}, headers=headers).status_code == 200
    beacon = {"site_id": site, "events": [{"event_type": "page_view", "page_url": "https://example.com/a"}]}
    answer = somebody.post("/v1/events", content=json.dumps(beacon), headers=headers)
    assert answer.json()["accepted"] == 1, answer.text
    named = {"event_type": "page_view", "visitor_id": "visitor-1", "session_id": "s"}
    beacon = {"site_id": site, "events": [named, {"event_type": "x", "occurred_at": "1999-01-01T00:00:00Z"}]}
    assert somebody.post("/v1/events", content=json.dumps(beacon), headers=headers).status_code == 202


def refused(somebody, site, with_key):
    """Requests and events that are wrong, with addresses in them."""
    for address in BROKEN:
        wrong = {"event_type": 7, "ip_address": address}
        answer = somebody.post("/v1/events", json={"events": [wrong]}, headers=with_key)
        assert answer.json()["rejected"] == 1
        typed = {"event_type": "widget_click", "ip_address": address, "properties": {"mapping_id": [address]}}
        somebody.post("/v1/events", json=typed, headers=with_key)
        somebody.post("/v1/events", content='{"events": [{"ip_address": "' + address, headers=with_key)
        somebody.post(
            "/v1/events", json={"ip_address": address}, headers={"Authorization": f"Bearer {address}"}
        )
        somebody.post("/v1/events", content=json.dumps({"site_id": address, "events": [wrong]}))
        somebody.post("/v1/events", json={"event_type": "y", "ip_address": address + "x"}, headers=with_key)
        somebody.post("/v1/events", json={"event_type": "y", "event_id": address}, headers=with_key)


def import_log(server, site):
    """An access log in the usual format; its lines are old enough to be settled."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(time.time() - 7200))
    lines = [
        f'{address} - - [{when}] "GET {path} HTTP/1.1" {status} 512 "-" "{AGENT}"'
        for address in IMPORTED
        for path, status in (
            ("/about", 200),
            ("/style.css", 200),
            ("/gone", 404),
            ("/hi", 302),
            ("/a b", 200),
        )
    ]
    lines += [f"{address} no such line" for address in IMPORTED]
    lines += [json.dumps({"remote_addr": address, "time": "?", "request": 1}) for address in IMPORTED]
    body = {"site_id": site, "lines": lines, "occurrences": [1] * len(lines), "origin": "https://example.com"}
    answer = server.console.post("/api/v1/imports/access-log", json=body)
    assert answer.status_code == 202, answer.text
    assert sum(answer.json()["added"].values()) > 0


def test_the_addresses_were_used(world):
    """Else nothing would be proved: events have countries, and visitors are told apart."""
    answer = world.console.get("/api/v1/analytics/countries", params={"limit": 50}).json()
    assert {row["country_code"] for row in answer["data"]} > {"", "NL"}
    overview = world.console.get("/api/v1/analytics/overview").json()["data"]
    assert overview["visitors"] >= len({*SOCKETS, *FORWARDED})
    events = world.console.get("/api/v1/analytics/timeseries", params={"event_type": "order"}).json()["data"]
    assert sum(row["events"] for row in events) == 3 * len(BODY) + len(BODY)


def test_no_answer_names_an_address(world):
    for event_type in ("click", "page_view", "order", "control"):
        found = world.console.get(
            "/api/v1/analytics/clicks",
            params={"event_type": event_type, "limit": 1000, "include_bots": "true"},
        )
        assert traces(found.content, PLANTED) == set()
    assert traces(found.content, CONTROLS) == set(CONTROLS)
    for path in ("/metrics", "/api/v1/ledger", "/api/v1/dead-letters"):
        assert traces(world.console.get(path).raise_for_status().content, PLANTED) == set()


def test_no_file_holds_an_address_while_it_runs(world):
    assert any(path.name.endswith("-wal") for path in world.data.rglob("*"))
    assert search(world, PLANTED) == {}
    assert search(world, CONTROLS).keys() == set(CONTROLS)


def test_no_file_holds_an_address_after_a_stop_and_the_store_neither(world):
    world.stop()
    assert search(world, PLANTED) == {}
    assert search(world, CONTROLS).keys() == set(CONTROLS)
    dumped = subprocess.run(
        [sys.executable, "-c", DUMP, str(world.data)],
        cwd=world.data.parent,
        env=environment(),
        capture_output=True,
        timeout=120,
        check=True,
    ).stdout
    assert dumped.count(b"\n") > 50
    assert traces(dumped, PLANTED) == set()
    assert traces(dumped, CONTROLS) == set(CONTROLS)
