"""Bodies made to hold up the door: who sends them waits, and nobody else."""

import asyncio
import gzip
import json

import pytest

from footfall.collect.app import create_app
from tests.contract.door import ADDRESS, open_door
from tests.security.longest_turn import MOST, longest_turn

pytestmark = pytest.mark.anyio

PAGE = {"event_type": "page_view", "page_url": "https://example.com/a"}
MIB = 1 << 20
GZIP = {"content-encoding": "gzip"}


def with_text(text):
    return b'[{"event_type":"a","properties":{"x":"%s"}}]' % text


def with_properties(*properties):
    return b"[" + b",".join(b'{"event_type":"a","properties":{%s}}' % each for each in properties) + b"]"


BODIES = {
    "escapes": with_text(b"\\n" * (MIB // 2 - 40)),
    "escapes, spelled in another way": b'{"type":"a","x":"%s"}' % (b"\\n" * (MIB // 2 - 40)),
    "backslashes": b"\\" * MIB,
    "halves of emoji": with_text(b"\\ud800x" * 70_000),
    "a run of halves": with_text(b"\\udc00" * 80_000),
    "whole emoji, and a half": with_text(b"\\ud83d\\ude00" * 40_000 + b"\\ud83d"),
    "texts with halves": with_properties(*[b'"x":"%s"' % (b"\\ud800" * 1300)] * 120),
    "numbers for events": b"[" + b"1," * 500_000 + b"1]",
    "few numbers for events": b"[" + b"1," * 50_000 + b"1]",
    "numbers": with_properties(*[b'"x":[%s1]' % (b"1," * 30_000)] * 16),
    "numbers hard to read": with_properties(b'"x":[%s1]' % (b"1.2345678901234567e-300," * 40_000)),
    "some numbers hard to read": with_properties(*[b'"x":[%s1]' % (b"1.2345678901234567e-300," * 650)] * 60),
    "names": b'[{"event_type":"a",%s}]' % b",".join(b'"%x":1' % n for n in range(80_000)),
    "properties": with_properties(b",".join(b'"%x":1' % n for n in range(80_000))),
    "lists": with_properties(b'"x":[%s[]]' % (b"[]," * 300_000)),
    "lists in events": with_properties(*[b'"x":[%s[]]' % (b"[]," * 4000)] * 80),
    "nested lists": with_properties(*[b'"x":' + b"[" * 900 + b"]" * 900] * 500),
    "brackets": b"[" * MIB,
    "quotes": b'["' + b'\\"' * (MIB // 2 - 10) + b'"]',
    "odd events": b"[" + b"{}," * 999 + b"{}]",
    "wrong events": b"[" + b'{"event_type":"a","page_url":5,"zz":1},' * 999 + b"{}]",
    "lines": b"{}\n" * 1000,
    "lines of carriage returns": b"\r" * MIB,
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_without_a_key_holds_up_nobody(tmp_path, name):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        await rig.http.post(f"/v1/events?site_id={site.id}", json=[PAGE])
        async with longest_turn() as longest:
            answer = await rig.http.post(f"/v1/events?site_id={site.id}", content=BODIES[name][:MIB])
    assert answer.status_code < 500
    assert longest.seconds < MOST


@pytest.mark.parametrize("text", [b"\\n", b"\\\\", b"\\u0041", b"\\ud800 "])
async def test_what_inflates_to_ten_megabytes_holds_up_nobody(tmp_path, text):
    body = gzip.compress(with_text(text * (10 * MIB // len(text) - 100)), 9)
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        await rig.post([PAGE])
        async with longest_turn() as longest:
            answers = [
                await rig.http.post("/v1/events", content=body, headers=GZIP),
                await rig.http.post(f"/v1/events?site_id={site.id}", content=body, headers=GZIP),
                await rig.post(body, **GZIP),
            ]
        assert await rig.events() == [*(await rig.events())[:1]]
    assert [answer.status_code for answer in answers] == [401, 413, 202]
    assert answers[2].json()["results"][0]["reason"] == "event_too_large"
    assert longest.seconds < MOST


async def test_many_such_bodies_at_once_hold_up_nobody(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        link = await rig.tenants.create_link("default", "https://example.com/", code="abc")
        app = create_app(rig.door)

        async def send_without_client(body):
            """As a server calls the door: an HTTP client of Python would take longer than the door."""
            scope = {
                "type": "http", "method": "POST", "path": "/v1/events", "headers": [], "client": (ADDRESS, 1),
                "query_string": b"site_id=" + site.id.encode(),
            }  # fmt: skip
            messages = [{"type": "http.request", "body": body}]
            sent = []

            async def receive():
                return messages.pop()

            async def send(message):
                sent.append(message)

            await app(scope, receive, send)
            return sent[0]["status"]

        names = ["halves of emoji", "odd events", "lists in events", "numbers"] * 10
        async with longest_turn() as longest:
            sending = [asyncio.create_task(send_without_client(BODIES[name])) for name in names]
            await asyncio.sleep(0)
            redirect = await rig.http.get("/abc")
            waiting = sum(not task.done() for task in sending)
            answers = await asyncio.gather(*sending)
    assert redirect.headers["location"] == link.url
    assert waiting, "the redirect went while bodies were read"
    assert set(answers) == {202, 429}, "20 of one sender wait at most"
    assert longest.seconds < MOST


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"[]"), gzip.compress(b"\0" * (20 * MIB))])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer ff_wrong"}])
async def test_who_sends_is_known_before_a_body_is_inflated(tmp_path, body, headers):
    async with open_door(tmp_path) as rig:
        answer = await rig.http.post("/v1/events", content=body, headers=GZIP | headers)
        of_no_site = await rig.http.post("/v1/events?site_id=site_no", content=body, headers=GZIP)
        site = await rig.tenants.create_site("default", "Shop", origins=["shop.example"])
        of_another_page = await rig.http.post(
            f"/v1/events?site_id={site.id}", content=body, headers=GZIP | {"origin": "https://evil.example"}
        )
    assert answer.status_code == 401
    assert (of_no_site.status_code, of_no_site.json()["field"]) == (400, "site_id")
    assert of_another_page.status_code == 403


async def test_without_a_key_a_body_inflates_to_a_megabyte(tmp_path):
    events = [PAGE | {"properties": {"x": "y" * 7000}}] * 140
    fits, too_large = (gzip.compress(json.dumps(events * n).encode()) for n in (1, 2))
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        path = f"/v1/events?site_id={site.id}"
        taken = await rig.http.post(path, content=fits, headers=GZIP)
        refused = await rig.http.post(path, content=too_large, headers=GZIP)
        with_key = await rig.post(too_large, **GZIP)
    assert taken.json()["accepted"] == 140
    assert refused.status_code == 413
    assert "1048576" in refused.json()["detail"]
    assert with_key.json()["accepted"] == 280


@pytest.mark.parametrize("depth", [950, 1000, 1100, 50_000, 200_000])
@pytest.mark.parametrize("inside", ["[%s]", '{"a":%s}'])
@pytest.mark.parametrize("shape", ["[%s,%s,%s]", '{"events":[%s,%s,%s]}', "%s\n%s\n%s"])
async def test_an_event_nested_too_deeply_costs_itself_alone(tmp_path, depth, inside, shape):
    opening, closing = inside.split("%s")
    depth = min(depth, (MIB - 1000) // len(opening + closing))
    deep = '{"event_type":"a","properties":{"x":' + opening * depth + "1" + closing * depth + "}}"
    good = json.dumps(PAGE)
    async with open_door(tmp_path) as rig:
        answer = await rig.post((shape % (good, deep, good)).encode())
        assert len(await rig.events()) == 2
    assert answer.status_code == 202
    assert [verdict["index"] for verdict in answer.json()["results"]] == [1]


async def test_a_thousand_unknown_codes_and_sites_are_one_look_up_each(tmp_path):
    async with open_door(tmp_path) as rig:
        await rig.post([PAGE])
        reads = 0
        read = rig.tenants.database.read

        async def counted(work):
            nonlocal reads
            reads += 1
            return await read(work)

        await rig.door.directory.stop()  # it reads a few times a second, too
        rig.tenants.database.read = counted
        clicks = [
            {"event_type": "custom", "short_code": f"code{n}", "site_id": f"site_{n}"} for n in range(1000)
        ]
        answer = await rig.post(clicks)
        again = await rig.post([click | {"site_id": None} for click in clicks])
    assert answer.json()["rejected"] == 1000
    assert again.json()["accepted"] == 1000
    assert reads <= 8  # 500 names a query, and what has changed meanwhile is asked for each kind of name


async def test_strangers_with_long_bodies_cost_a_key_the_one_that_is_being_read(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        long = gzip.compress(with_properties(*[b'"x":"%s"' % (b"\\ud800a" * 140)] * 1000))
        await rig.post([PAGE])  # the key is known
        done = []

        async def stranger():
            answer = await rig.http.post(f"/v1/events?site_id={site.id}", content=long, headers=GZIP)
            done.append(answer.status_code)

        strangers = [asyncio.create_task(stranger()) for _ in range(30)]
        while 429 not in done and len(done) < 30:  # all that may wait do
            await asyncio.sleep(0)
        read = done.count(202)
        answer = await rig.http.post("/v1/events", json=[PAGE] * 60, headers=rig.auth)
        assert answer.json()["accepted"] == 60
        assert done.count(202) - read <= 2
        await asyncio.gather(*strangers)
        assert set(done) == {202, 429}


async def test_a_url_of_many_parameters_is_refused_in_words(tmp_path):
    async with open_door(tmp_path) as rig:
        answer = await rig.http.post("/v1/events?" + "a=1&" * 60, json=[PAGE])
        assert answer.status_code == 400
        assert "50 parameters" in answer.json()["detail"]
