"""`POST /v1/events`: what is acknowledged is in the log, what is refused has a verdict and is counted."""

import gzip
import json
import time
import uuid

import pytest

from footfall.errors import LogFull
from footfall.eventlog.port import Backlog
from footfall.model.ids import format_event_id
from tests.contract.door import ADDRESS, KEY, open_door

pytestmark = pytest.mark.anyio

PAGE = {"event_type": "page_view", "page_url": "https://example.com/a"}


async def test_what_is_accepted_is_in_the_log_when_the_answer_comes(tmp_path):
    async with open_door(tmp_path) as rig:
        answer = await rig.post({"events": [PAGE, {"event_type": "signup", "plan": "pro"}]})
        assert answer.status_code == 202
        assert answer.json() == {"accepted": 2, "rejected": 0, "results": []}
        page, signup = await rig.events()
    assert (page.event_type, page.page_url) == ("page_view", "https://example.com/a")
    assert json.loads(signup.properties) == {"plan": "pro"}
    assert uuid.UUID(bytes=page.event_id).version == 7
    assert page.client_id is False


async def test_verdicts_name_what_is_wrong_and_neighbours_are_stored(tmp_path):
    event_id = str(uuid.uuid4())
    async with open_door(tmp_path) as rig:
        answer = await rig.post(
            [
                PAGE,
                {"page_url": "https://example.com"},
                {"event_type": "conversion", "properties": {"value_minor": 5}},
                {"event_type": "widget_impression", "mapping_id": "m", "viewport_percent": 101},
                "text",
                {"event_type": "page_view", "event_id": event_id},
                {"event_type": "page_view", "event_id": event_id},
                {"event_type": "page_view", "event_id": "evt_1"},
                {"event_type": "page_view", "site_id": "site_nobody"},
                {"event_type": "big", "properties": {str(i): i for i in range(1000)}},
            ]
        )
        verdicts = {verdict["index"]: verdict for verdict in answer.json()["results"]}
        events = await rig.events()
        [record] = await rig.records()
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 7)
    assert {index: (v["status"], v["reason"], v.get("field")) for index, v in verdicts.items()} == {
        1: ("rejected", "missing_event_type", "event_type"),
        2: ("rejected", "invalid_property", "properties.name"),
        3: ("rejected", "invalid_property", "properties.viewport_percent"),
        4: ("rejected", "not_an_event", ""),
        6: ("duplicate", "duplicate", None),
        7: ("rejected", "invalid_field", "event_id"),
        8: ("rejected", "unknown_site", "site_id"),
        9: ("rejected", verdicts[9]["reason"], verdicts[9]["field"]),
    }
    assert [format_event_id(event.event_id) for event in events][1] == event_id
    assert events[1].client_id is True
    assert sum(tally.count for tally in record.tallies) == 8


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer ff_wrong"}, 401),
        ({"authorization": "Basic abc"}, 401),
    ],
)
async def test_without_a_key_or_a_site_nothing_is_taken(tmp_path, headers, status):
    async with open_door(tmp_path) as rig:
        answer = await rig.http.post("/v1/events", json=[PAGE], headers=headers)
        assert await rig.events() == []
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert KEY not in answer.text


async def test_a_key_without_the_scope_may_not_write(tmp_path):
    async with open_door(tmp_path) as rig:
        _, secret = await rig.tenants.create_key("default", "reader", ("read",))
        answer = await rig.post([PAGE], authorization=f"Bearer {secret}")
    assert answer.status_code == 403
    assert "ingest" in answer.json()["detail"]


async def test_a_public_site_id_may_send_for_its_site_only(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop", origins=["shop.example", "*.shop.example"])
        other = await rig.tenants.create_site("default", "Other")
        body = json.dumps({"site_id": site.id, "events": [PAGE, PAGE | {"site_id": other.id}]}).encode()
        origin = {"origin": "https://www.shop.example", "content-type": "text/plain"}
        answer = await rig.http.post("/v1/events", content=body, headers=origin)
        foreign = await rig.http.post("/v1/events", content=body, headers={"origin": "https://evil.example"})
        none = await rig.http.post("/v1/events", content=body)
        by_query = await rig.http.post(
            f"/v1/events?site_id={site.id}", json=PAGE, headers={"origin": "https://shop.example"}
        )
        events = await rig.events()
    assert answer.json()["accepted"] == 1
    assert answer.json()["results"][0]["reason"] == "forbidden"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (foreign.status_code, none.status_code) == (403, 403)
    assert by_query.json()["accepted"] == 1
    assert [event.site_id for event in events] == [site.id, site.id]


async def test_a_beacon_cannot_speak_for_another_address(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        plain = PAGE | {"site_id": site.id}
        await rig.http.post("/v1/events", json=[plain])
        await rig.http.post("/v1/events", json=[plain | {"ip_address": "8.8.8.8", "country_code": "DE"}])
        first, second = await rig.events()
        records = await rig.records()
    assert first.device_hash == second.device_hash != 0
    assert records[0].visits[0].country_code == records[1].visits[0].country_code


async def test_a_key_may_speak_for_its_visitors(tmp_path):
    async with open_door(tmp_path) as rig:
        await rig.post(
            [PAGE | {"ip_address": "8.8.8.8", "user_agent": "UA/1"}, PAGE | {"visitor_id": "anna"}, PAGE]
        )
        first, second, third = await rig.events()
        [record] = await rig.records()
    assert record.visits[first.visit].user_agent == "UA/1"
    assert record.visits[first.visit].country_code == "US"
    assert first.device_hash != third.device_hash
    assert second.visitor_id != third.visitor_id == third.device_hash
    assert second.device_hash == third.device_hash


async def test_the_library_of_a_server_is_no_visitors_browser(tmp_path):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        await rig.post([PAGE], **{"user-agent": "python-requests/2.32"})
        await rig.post([PAGE], **{"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        await rig.post([PAGE], **{"user-agent": "Googlebot/2.1"})
        await rig.http.post(
            "/v1/events", json=[PAGE | {"site_id": site.id}], headers={"user-agent": "curl/8"}
        )
        agents = [record.visits[0].user_agent for record in await rig.records()]
    assert agents == ["", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "Googlebot/2.1", "curl/8"]


async def test_times_are_kept_clamped_or_refused(tmp_path):
    now = time.time()
    async with open_door(tmp_path) as rig:
        _, secret = await rig.tenants.create_key("default", "sdk", ("ingest",))
        times = [now - 60, (now - 60) * 1000, now + 3600, now - 30 * 86400, "2026-01-01T00:00:00+05:30"]
        answer = await rig.post(
            [PAGE | {"occurred_at": at} for at in [*times, "soon", 1e300]], authorization=f"Bearer {secret}"
        )
        recent, milli, ahead, old, iso = await rig.events()
        await rig.post([PAGE | {"occurred_at": now - 30 * 86400}])
        kept = (await rig.events())[-1]
        received = (await rig.records())[0].received_at
    refused = [v for v in answer.json()["results"] if v["status"] == "rejected"]
    assert [v["field"] for v in refused] == ["occurred_at", "occurred_at"]
    assert abs(recent.occurred_at - (now - 60) * 1000) <= 1
    assert abs(milli.occurred_at - (now - 60) * 1000) <= 1
    for clamped in (ahead, old, iso):
        assert clamped.occurred_at == received
        assert clamped.occurred_at_original not in (0, received)
    assert iso.occurred_at_original == 1767205800000
    assert kept.occurred_at_original == 0
    assert abs(kept.occurred_at - (now - 30 * 86400) * 1000) <= 1


async def test_no_address_reaches_the_log(tmp_path):
    planted = ["198.51.100.23", "2001:db8::dead:beef", "192.0.2.99"]
    async with open_door(tmp_path, trusted_proxies=f"{ADDRESS}/32") as rig:
        await rig.http.post(
            "/v1/events",
            json=[
                PAGE | {"ip_address": planted[1]},
                {"event_type": "custom", "ip": planted[2], "properties": {"client_ip": planted[2]}},
            ],
            headers=rig.auth | {"x-forwarded-for": planted[0]},
        )
        await rig.http.get("/nowhere", headers={"x-forwarded-for": planted[0]})
        assert len(await rig.wait_for_events(3)) == 3
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for address in (*planted, ADDRESS):
        assert address.encode() not in written


async def test_texts_without_a_key_are_bounded_in_bytes(tmp_path):
    ascii_texts = {name: "https://x.example/".ljust(5000, "a") for name in ("page_url", "referrer")}
    long = "https://x.example/".ljust(2048, "\U0001f600")
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        events = [PAGE | ascii_texts, PAGE | {"page_url": long}, PAGE | {"page_url": long, "referrer": long}]
        public = await rig.http.post(f"/v1/events?site_id={site.id}", json=events)
        with_key = await rig.post(events)
    assert (public.json()["accepted"], with_key.json()["accepted"]) == (2, 3)
    [verdict] = public.json()["results"]
    assert (verdict["index"], verdict["reason"]) == (2, "event_too_large")


async def test_properties_are_bounded_in_bytes(tmp_path):
    texts = {str(n): "\U0001f600" * 8000 for n in range(7)}  # 56,000 characters, 224,000 bytes
    async with open_door(tmp_path) as rig:
        answer = await rig.post([PAGE | {"properties": texts}])
    [verdict] = answer.json()["results"]
    assert (verdict["reason"], verdict["field"]) == ("event_too_large", "properties")


async def test_all_members_of_a_gzip_body_are_taken_or_none(tmp_path):
    first, second = (
        gzip.compress(b"".join(json.dumps(PAGE).encode() + b"\n" for _ in range(n))) for n in (3, 7)
    )
    headers = {"content-encoding": "gzip", "content-type": "application/x-ndjson"}
    async with open_door(tmp_path) as rig:
        broken = await rig.post(first + b"rubbish", **headers)
        assert await rig.events() == []
        taken = await rig.post(first + second, **headers)
        assert len(await rig.events()) == 10
    assert (broken.status_code, broken.json()["field"]) == (400, "Content-Encoding")
    assert taken.json()["accepted"] == 10


async def test_a_gzip_body_and_cors_preflight(tmp_path):
    async with open_door(tmp_path) as rig:
        answer = await rig.post(
            gzip.compress(json.dumps([PAGE] * 1000).encode()), **{"content-encoding": "gzip"}
        )
        preflight = await rig.http.options("/v1/events", headers={"origin": "https://a.example"})
    assert answer.json()["accepted"] == 1000
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not json", {}, 400),
        (b"", {}, 400),
        (b"x" * (1 << 20) + b"x", {}, 413),
        (json.dumps([PAGE] * 1001).encode(), {}, 413),
        (gzip.compress(b" " * (11 << 20)), {"content-encoding": "gzip"}, 413),
        (b"[]", {"content-encoding": "br"}, 400),
    ],
)
async def test_a_request_that_is_refused_whole_is_answered_and_tallied(tmp_path, body, headers, status):
    async with open_door(tmp_path) as rig:
        answer = await rig.post(body, **headers)
        assert answer.status_code == status
        assert answer.json()["detail"]
        await rig.door.tallies._write()
        [record] = await rig.records()
    assert not record.events
    [tally] = record.tallies
    assert tally.reason == {400: "unreadable", 413: "too_large"}[status]


class FullLog:
    """A log that refuses, as a full disk makes it."""

    def __init__(self):
        self.full = True
        self.entries = []

    async def append(self, entry):
        if self.full:
            raise LogFull("the disk is full", retry_after=3)
        self.entries.append(entry)

    async def backlog(self, consumer):
        return Backlog(0, 0)

    async def close(self):
        pass


async def test_a_full_log_asks_to_come_again(tmp_path):
    log = FullLog()
    async with open_door(tmp_path, eventlog=log) as rig:
        answer = await rig.post([PAGE])
        log.full = False
        again = await rig.post([PAGE])
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "3"
    assert again.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/events", 405),
        ("PUT", "/abc", 405),
        ("GET", "/api/v1/analytics/overview", 404),
        ("GET", "/health/live", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/metrics", 401),
        ("GET", "/", 200),
        ("GET", "/robots.txt", 200),
        ("GET", "/favicon.ico", 404),
    ],
)
async def test_other_paths(tmp_path, method, path, status):
    async with open_door(tmp_path) as rig:
        answer = await rig.http.request(method, path)
        assert await rig.events() == []
    assert answer.status_code == status
    if path.startswith("/api"):
        assert "8001" not in answer.text


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"scroll_depth": 45, "engagement_time": 12_345}, None),
        ({"scroll_depth": 100.4, "engagement_time": 1500.7}, None),
        ({"engagement_time": 1000, "section": "price"}, None),
        ({}, None),
        ({"scroll_depth": -1}, "properties.scroll_depth"),
        ({"scroll_depth": "deep"}, "properties.scroll_depth"),
        ({"engagement_time": -5}, "properties.engagement_time"),
        ({"engagement_time": 86_400_001}, "properties.engagement_time"),
    ],
)
async def test_what_engagement_says_is_checked(tmp_path, properties, field):
    async with open_door(tmp_path) as rig:
        answer = (await rig.post([{"event_type": "engagement", "properties": properties}])).json()
        events = await rig.events()
    assert [each["field"] for each in answer.get("results", [])] == ([field] if field else [])
    assert [event.event_type for event in events] == ([] if field else ["engagement"])
