"""Every answer of both ports: a browser takes it for what it says it is, and strangers learn little."""

import httpx
import pytest
from msgspec.structs import force_setattr

from footfall.errors import Damaged, StoreDown
from footfall.tenants.model import DEFAULT_WORKSPACE
from tests.console import open_console
from tests.contract.acme import Acme
from tests.contract.door import open_door
from tests.security.watching import asked

pytestmark = pytest.mark.anyio

STRANGER = ("203.0.113.9", 4711)
FORWARDED = [
    {"X-Forwarded-For": "203.0.113.9"},
    {"Forwarded": "for=203.0.113.9"},
    {"X-Real-IP": "203.0.113.9"},
    {"Via": "1.1 proxy"},
]
DOOR = [
    ("GET", "/"),
    ("GET", "/nothing"),
    ("HEAD", "/nothing"),
    ("GET", "/spring"),
    ("GET", "/over"),
    ("GET", "/v1/events"),
    ("POST", "/v1/events"),
    ("OPTIONS", "/v1/events"),
    ("DELETE", "/spring"),
    ("GET", "/v1/pixel.gif"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/robots.txt"),
    ("GET", "/favicon.ico"),
    ("GET", "/api/v1/links"),
    ("GET", "/v1/%2e%2e/x"),
]
CONSOLE = [
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/docs/nothing"),
    ("GET", "/openapi.json"),
    ("GET", "/health/live"),
    ("HEAD", "/health/ready"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("PATCH", "/v1/query"),
    ("POST", "/v1/query"),
    ("POST", "/v1/events"),
    ("GET", "/api/v1/analytics/overview"),
    ("GET", "/api/v1/analytics/overview?start_date=x"),
    ("GET", "/api/v1/export/events?format=csv"),
]


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        console.run(console.tenants.bootstrap("ff_" + "a" * 40))
        yield Acme(console)


def check(answer):
    headers = answer.headers
    assert headers.get("x-content-type-options") == "nosniff", headers
    policy = headers.get("content-security-policy", "")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.count("default-src") == 1
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert headers["referrer-policy"] == "no-referrer"


async def test_every_answer_of_the_door(tmp_path):
    async with open_door(tmp_path) as rig:
        await rig.tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", code="spring")
        await rig.tenants.create_link(DEFAULT_WORKSPACE, "https://example.com/", code="over", expires_at=1)
        for method, path in DOOR:
            answer = await rig.http.request(method, path)
            check(answer)
            assert "8001" not in answer.text
        assert (await rig.http.get("/spring")).status_code == 302
        assert "referrer-policy" not in (await rig.http.get("/spring")).headers  # the target learns the page
        check(await rig.post([{"event_type": "page_view", "page_url": "https://a.example/"}]))


async def test_the_style_of_the_doors_pages_is_allowed_by_its_digest(tmp_path):
    from base64 import b64encode  # noqa: PLC0415 -- beside its use
    from hashlib import sha256  # noqa: PLC0415 -- as above

    async with open_door(tmp_path) as rig:
        answer = await rig.http.get("/nothing")
    style = answer.text.split("<style>")[1].split("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "unsafe-inline" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("scopes", [(), ("read",), ("admin",)])
def test_every_answer_of_the_console(acme, scopes):
    key = acme.console.key(acme.acme, *scopes) if scopes else None
    for method, path in CONSOLE:
        answer = acme.console._request(method, path, key)
        check(answer)
        assert "cache-control" in answer.headers
        if not path.startswith("/docs"):
            assert "public" not in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/dead-letters", "/openapi.json", "/v1/nothing"])
def test_what_is_no_report_is_kept_by_nobody(acme, path):
    admin = acme.console.key(DEFAULT_WORKSPACE, "admin")
    assert acme.console.get(path, admin).headers["cache-control"] == "no-store"


def test_a_report_may_be_kept_by_who_asked(acme):
    answer = acme.console.get("/api/v1/analytics/overview", acme.key, {"interval": "7d"})
    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["vary"] == "Accept, Authorization"


@pytest.mark.parametrize("path", ["/v1/query", "/v1/export", "/v1/nothing", "/v1/events"])
def test_who_still_sends_a_body_when_it_is_answered_gets_its_answer(acme, path):
    """Of a body that nobody reads the rest is taken, so that a client that only writes comes to its end."""
    request = "POST", path, {"content": b" " * 9_000_000, "headers": {"content-type": "application/json"}}
    (answer,), _ = acme.console.run(asked(acme.console.app, {}, [request]))
    assert answer.status_code in (401, 404, 413)


# Health and metrics


def ask(acme, path, key=None, headers=None, client=STRANGER, method="GET"):
    async def send():
        transport = httpx.ASGITransport(acme.console.app, raise_app_exceptions=False, client=client)
        sent = ({"Authorization": f"Bearer {key}"} if key else {}) | (headers or {})
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as http:
            return await http.request(method, path, headers=sent)

    return acme.console.run(send())


def test_strangers_learn_of_the_console_whether_it_is_ready_and_no_more(acme):
    of_others = acme.console.key(acme.other, "admin")
    for key in (None, "ff_" + "x" * 40, acme.key, of_others):
        assert ask(acme, "/health/ready", key).json() == {"status": "ok"}
    for headers in FORWARDED:
        assert ask(acme, "/health/ready", headers=headers, client=("127.0.0.1", 1)).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "trouble", [StoreDown("a part in /secret/store"), Damaged("/secret/meta.db is broken")]
)
def test_nor_do_they_learn_why_it_is_not(acme, trouble):
    acme.console.trouble = trouble
    try:
        answer = ask(acme, "/health/ready")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "secret" not in answer.text
        assert ask(acme, "/health/ready", method="HEAD").status_code == 503
    finally:
        acme.console.trouble = None


def test_this_machine_and_who_may_see_the_metrics_learn_it(acme):
    for key, client in (
        (None, ("127.0.0.1", 1)),
        (None, ("::1", 1)),
        (acme.console.key(DEFAULT_WORKSPACE, "metrics"), STRANGER),
        (acme.console.key(DEFAULT_WORKSPACE, "admin"), STRANGER),
    ):
        assert ask(acme, "/health/ready", key, client=client).json() == {"status": "ok", "store": "ok"}


@pytest.mark.parametrize("scope", ["admin", "metrics", "read"])
def test_the_metrics_of_all_are_for_the_first_workspace(acme, scope):
    for workspace in (acme.acme, acme.other):
        assert ask(acme, "/metrics", acme.console.key(workspace, scope)).status_code == 403
    assert ask(acme, "/metrics").status_code == 401
    of_first = ask(acme, "/metrics", acme.console.key(DEFAULT_WORKSPACE, scope))
    assert of_first.status_code == (403 if scope == "read" else 200)


async def test_the_door_says_as_little(tmp_path):
    async def ready():
        return {"status": "degraded", "alerts": [{"condition": "store_down"}]}

    async with open_door(tmp_path) as rig:
        force_setattr(rig.door, "ready", ready)
        other = await rig.tenants.create_workspace("other")
        _, of_other = await rig.tenants.create_key(other.id, "k", ["admin"])
        _, metrics = await rig.tenants.create_key(DEFAULT_WORKSPACE, "k", ["metrics"])
        for key in (None, of_other):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert (await rig.http.get("/health/ready", headers=headers)).json() == {"status": "degraded"}
            assert (await rig.http.get("/metrics", headers=headers)).status_code == (403 if key else 401)
        for headers in (rig.auth, {"Authorization": f"Bearer {metrics}"}):
            assert "alerts" in (await rig.http.get("/health/ready", headers=headers)).json()
            scraped = await rig.http.get("/metrics", headers=headers)
            assert "footfall_events_accepted_total" in scraped.text
            assert scraped.headers["cache-control"] == "no-store"
