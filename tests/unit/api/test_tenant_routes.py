"""`/api/v1/links`, `/sites` and `/keys` over HTTP, on a real SQLite file."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.testing import TestClient
from structlog.testing import capture_logs

from footfall.api.problems import exception_handlers, strict_body
from footfall.api.routes.tenants import tenant_routes
from footfall.errors import LogFull
from footfall.settings import load
from footfall.tenants.directory import Directory
from footfall.tenants.model import DEFAULT_WORKSPACE, Scope
from footfall.tenants.tables import open_metadata
from footfall.tenants.tenants import Tenants

LINKS, SITES, KEYS = "/api/v1/links", "/api/v1/sites", "/api/v1/keys"


@get("/broken")
async def broken() -> None:
    raise ValueError("a secret thing")


@get("/full")
async def full() -> None:
    raise LogFull("the log is full", retry_after=2.5)


class Api:
    """The routes, with an admin key; `key(...)` makes others."""

    def __init__(self, client: TestClient[Litestar], tenants: Tenants, secret: str) -> None:
        self.client, self.tenants, self.secret = client, tenants, secret

    def __call__(self, method: str, path: str, *, key: str | None = None, **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.secret}"} | request.pop("headers", {})
        return self.client.request(method, path, headers=headers, **request)

    def key(self, *scopes: Scope, workspace: str = DEFAULT_WORKSPACE) -> str:
        return asyncio.run(self.tenants.create_key(workspace, "test", scopes))[1]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    settings = load(data=tmp_path, public_url="https://foot.example")
    tenants = Tenants(open_metadata(tmp_path / "meta.db"), settings)
    secret = asyncio.run(tenants.bootstrap())
    assert secret
    directory = Directory(tenants, settings)
    app = Litestar(
        [*tenant_routes(tenants, directory), broken, full],
        exception_handlers=exception_handlers,
        before_request=strict_body,
        on_startup=[directory.start],
        on_shutdown=[directory.stop],
        logging_config=None,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(client, tenants, secret)
    asyncio.run(tenants.database.close())


def refused(answer: httpx.Response, status: int, field: str = "", text: str = "") -> None:
    """It is a problem document (RFC 9457) with this status, naming this field, saying this."""
    body = answer.json()
    assert (answer.status_code, body["status"], body.get("field", "")) == (status, status, field), body
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["instance"] == answer.request.url.path
    assert body["title"]
    assert text in body["detail"]
    assert "Traceback" not in answer.text


def test_a_link_from_making_to_deleting(api: Api):
    made = api("POST", LINKS, json={"url": "https://example.com/a b"})
    assert made.status_code == 201
    link = made.json()
    assert set(link) == {
        "id", "short_code", "short_url", "url", "domain", "title", "tags", "expires_at", "created_at",
        "pass_query",
    }  # fmt: skip
    assert link["url"] == "https://example.com/a%20b"
    assert link["domain"] == "foot.example"
    assert link["short_url"] == f"https://foot.example/{link['short_code']}"
    assert (link["title"], link["tags"], link["expires_at"]) == ("", [], None)
    assert link["created_at"].endswith("Z")
    one = f"{LINKS}/{link['id']}"
    assert api("GET", one).json() == link

    change = {
        "title": "Sale",
        "tags": ["a", "b"],
        "expires_at": "2030-01-01T00:00:00+02:00",
        "pass_query": True,
    }
    changed = api("PATCH", one, json=change)
    assert changed.status_code == 200
    assert changed.json() == link | change | {"expires_at": "2029-12-31T22:00:00Z"}
    assert api("PATCH", one, json={}).json() == changed.json()
    assert api("PATCH", one, json={"expires_at": None}).json()["expires_at"] is None

    assert api("DELETE", one).status_code == 204
    refused(api("GET", one), 404, text="no such link")
    refused(api("PATCH", one, json={"title": "x"}), 404)
    refused(api("DELETE", one), 404)


def test_a_link_on_a_domain_of_its_own(api: Api):
    wanted = {"url": "https://example.com/", "code": "spring", "domain": "Go.Example.com"}
    link = api("POST", LINKS, json=wanted).json()
    assert (link["domain"], link["short_url"]) == ("go.example.com", "https://go.example.com/spring")
    refused(api("POST", LINKS, json=wanted), 409, "code", "taken")
    assert api("POST", LINKS, json=wanted | {"domain": "foot.example"}).status_code == 201


def test_lists_say_how_much_there_is(api: Api):
    for number in range(3):
        api("POST", LINKS, json={"url": f"https://example.com/{number}", "code": f"c{number}"})
    answer = api("GET", LINKS, params={"limit": 2, "offset": 1}).json()
    assert answer["meta"] == {"total": 3, "limit": 2, "offset": 1}
    assert len(answer["data"]) == 2
    found = api("GET", LINKS, params={"search": "/1", "domain": "foot.example"}).json()
    assert [link["short_code"] for link in found["data"]] == ["c1"]
    assert api("GET", LINKS, params={"domain": "go.example.com"}).json()["meta"]["total"] == 0
    for wrong, field in (
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
    ):
        refused(api("GET", f"{LINKS}?{wrong}"), 400, field, "integer")
    refused(api("GET", f"{LINKS}?serch=x"), 400, "serch", "limit, offset, domain, search")
    refused(api("GET", f"{LINKS}?domain=a%20b"), 400, "domain")
    refused(api("GET", f"{LINKS}?limit=1&limit=2"), 400, "limit", "twice")


@pytest.mark.parametrize("path", [LINKS, SITES, KEYS])
def test_parameters_that_mean_nothing_are_refused(api: Api, path: str):
    refused(
        api("POST", f"{path}?dry_run=true", json={"name": "x", "scopes": ["read"]}),
        400,
        "dry_run",
        "no parameters",
    )
    refused(api("DELETE", f"{path}/some?force=1"), 400, "force", "no parameters")


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({}, "url", "required"),
        ({"url": 5}, "url", "a string"),
        ({"url": None}, "url", "a string"),
        ({"url": "javascript:alert(1)"}, "url", "http://"),
        ({"url": "https://foot.example/x"}, "url", "back at this installation"),
        ({"url": "https://e.com", "code": "a/b"}, "code", "A-Z a-z 0-9"),
        ({"url": "https://e.com", "code": ""}, "code", "must not be empty"),
        ({"url": "https://e.com", "code": "robots.txt"}, "code", "reserved"),
        ({"url": "https://e.com", "domain": "e.com/x"}, "domain", "host name"),
        ({"url": "https://e.com", "title": "x" * 501}, "title", "500"),
        ({"url": "https://e.com", "title": "a\u0000b"}, "title", "control"),
        ({"url": "https://e.com", "tags": "a"}, "tags", "an array"),
        ({"url": "https://e.com", "tags": [1]}, "tags[0]", "a string"),
        ({"url": "https://e.com", "tags": [" "]}, "tags", "empty"),
        ({"url": "https://e.com", "tags": [str(n) for n in range(51)]}, "tags", "50"),
        ({"url": "https://e.com", "expires_at": "2030-01-01T00:00:00"}, "expires_at", "timezone"),
        ({"url": "https://e.com", "pass_query": "yes"}, "pass_query", "true or false"),
        ({"url": "https://e.com", "expires_at": "soon"}, "expires_at", "ISO 8601 with offset"),
        ({"url": "https://e.com", "expires_at": 1893456000}, "expires_at", "a time"),
        ({"url": "https://e.com", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at", "1970"),
        ({"url": "https://e.com", "utm": "x"}, "utm", "unknown field"),
    ],
)
def test_a_wrong_link_is_refused_naming_the_field(api: Api, body: dict[str, Any], field: str, text: str):
    refused(api("POST", LINKS, json=body), 400, field, text)
    assert api("GET", LINKS).json()["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "empty"),
        (b"null", 400, "an object"),
        (b"[]", 400, "an object"),
        (b'{"url', 400, "not valid JSON"),
        (b"\xff\xfe\x00", 400, "not valid JSON"),
        (b'{"url": "http://e.com/\\ud800"}', 400, "not valid JSON"),
        (b"[" * 9_000, 400, "an object"),
        (b"[" * 100_000, 400, "too many lists"),
        (b'{"url":"' + b"x" * 300_000 + b'"}', 413, "too large"),
    ],
)
def test_an_unreadable_body_is_refused(api: Api, body: bytes, status: int, text: str):
    refused(api("POST", LINKS, content=body), status, text=text)


def test_a_site_from_making_to_deleting(api: Api):
    made = api(
        "POST", SITES, json={"name": "Shop", "origins": ["*.example.com"], "timezone": "Europe/Berlin"}
    )
    assert made.status_code == 201
    site = made.json()
    assert set(site) == {"id", "name", "origins", "timezone", "created_at"}
    one = f"{SITES}/{site['id']}"
    assert api("GET", one).json() == site
    assert api("PATCH", one, json={"origins": []}).json() == site | {"origins": []}
    assert [s["name"] for s in api("GET", SITES).json()["data"]] == ["Shop", "My site"]
    assert api("DELETE", one).status_code == 204
    refused(api("GET", one), 404, text="no such site")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x", "origins": ["https://example.com"]}, "origins"),
        ({"name": "x", "origins": ["exam ple.com"]}, "origins"),
        ({"name": "x", "timezone": "Mars/Base"}, "timezone"),
        ({"name": "x", "timezone": "America"}, "timezone"),
        ({"name": "x", "timezone": "../../etc/passwd"}, "timezone"),
    ],
)
def test_a_wrong_site_is_refused_naming_the_field(api: Api, body: dict[str, Any], field: str):
    refused(api("POST", SITES, json=body), 400, field)


def test_a_key_is_shown_once(api: Api):
    made = api("POST", KEYS, json={"name": "Shop", "scopes": ["read", "ingest"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    secret = made.json()["key"]
    assert made.json()["scopes"] == ["ingest", "read"]
    assert api("GET", LINKS, key=secret).status_code == 200
    listed = api("GET", KEYS)
    assert secret not in listed.text
    assert "hash" not in listed.text
    assert {key["name"] for key in listed.json()["data"]} == {"Shop", "First admin key"}

    assert api("DELETE", f"{KEYS}/{made.json()['id']}").status_code == 204
    deadline = time.monotonic() + 10
    while api("GET", LINKS, key=secret).status_code != 401:
        assert time.monotonic() < deadline
    admin = next(key["id"] for key in api("GET", KEYS).json()["data"])
    refused(api("DELETE", f"{KEYS}/{admin}"), 409, text="last key")


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "root"]])
def test_wrong_scopes_are_refused_naming_the_allowed(api: Api, scopes: list[str]):
    refused(
        api("POST", KEYS, json={"name": "x", "scopes": scopes}),
        400,
        "scopes",
        "ingest, read, links, metrics, admin",
    )


def test_each_route_needs_its_scope(api: Api):
    new_link, new_site = {"url": "https://example.com/"}, {"name": "Shop"}
    link = api("POST", LINKS, json=new_link).json()["id"]
    site = api("POST", SITES, json=new_site).json()["id"]
    allowed: list[tuple[str, str, Any, set[Scope]]] = [
        ("GET", LINKS, None, {"read", "links"}),
        ("GET", f"{LINKS}/{link}", None, {"read", "links"}),
        ("POST", LINKS, new_link, {"links"}),
        ("PATCH", f"{LINKS}/{link}", {}, {"links"}),
        ("DELETE", f"{LINKS}/{link}", None, {"links"}),
        ("GET", SITES, None, {"read", "links"}),
        ("GET", f"{SITES}/{site}", None, {"read", "links"}),
        ("POST", SITES, new_site, set()),
        ("PATCH", f"{SITES}/{site}", {}, set()),
        ("DELETE", f"{SITES}/{site}", None, set()),
        ("GET", KEYS, None, set()),
        ("POST", KEYS, {"name": "x", "scopes": ["admin"]}, set()),
        ("DELETE", f"{KEYS}/nothing", None, set()),
    ]
    scopes: tuple[Scope, ...] = ("ingest", "read", "links")
    keys = {scope: api.key(scope) for scope in scopes}
    for method, path, body, may in allowed:
        for scope, key in keys.items():
            answer = api(method, path, key=key, json=body)
            if scope in may:
                assert answer.status_code < 300, (method, path, scope, answer.text)
            else:
                refused(answer, 403, text=f"this one has {scope}")


def test_who_is_asked_before_what_is_read(api: Api):
    anonymous = {"Authorization": ""}
    for method, path in (("GET", LINKS), ("POST", LINKS), ("POST", KEYS), ("DELETE", f"{SITES}/x")):
        answer = api(method, path, headers=anonymous, content=b"{broken")
        refused(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_another_workspace_sees_nothing(api: Api):
    link = api("POST", LINKS, json={"url": "https://example.com/", "domain": "go.example.com"}).json()["id"]
    site = api("GET", SITES).json()["data"][0]["id"]
    key = api("GET", KEYS).json()["data"][0]["id"]
    other = asyncio.run(api.tenants.create_workspace("Somebody else")).id
    theirs = api.key("admin", workspace=other)
    for path in (LINKS, SITES):
        assert api("GET", path, key=theirs).json()["data"] == []
    assert [k["name"] for k in api("GET", KEYS, key=theirs).json()["data"]] == ["test"]
    for method, path in (
        ("GET", f"{LINKS}/{link}"),
        ("DELETE", f"{LINKS}/{link}"),
        ("GET", f"{SITES}/{site}"),
        ("DELETE", f"{SITES}/{site}"),
        ("DELETE", f"{KEYS}/{key}"),
    ):
        refused(api(method, path, key=theirs), 404)
    wanted = {"url": "https://example.com/", "domain": "go.example.com"}
    refused(api("POST", LINKS, key=theirs, json=wanted), 409, "domain", "another workspace")


def test_unknown_paths_and_methods_and_failures_are_problems_too(api: Api):
    refused(api("GET", "/api/v1/nothing"), 404, text="nothing at this path")
    answer = api("PUT", LINKS)
    refused(answer, 405, text="Allow")
    assert "POST" in answer.headers["allow"]
    answer = api("GET", "/full")
    refused(answer, 503, text="the log is full")
    assert answer.headers["retry-after"] == "3"


def test_a_failure_is_logged_without_the_key_and_not_shown(api: Api):
    with capture_logs() as lines:
        answer = api("GET", "/broken")
    refused(answer, 500)
    assert "secret thing" not in answer.text
    assert ["secret thing" in str(line) for line in lines] == [True]
    assert api.secret not in str(lines)


def test_the_documentation_knows_every_route(api: Api):
    schema = api.client.app.openapi_schema.to_schema()
    assert {(path, method) for path, item in schema["paths"].items() for method in item if "api" in path} == {
        *((LINKS, method) for method in ("get", "post")),
        *((LINKS + "/{link_id}", method) for method in ("get", "patch", "delete")),
        *((SITES, method) for method in ("get", "post")),
        *((SITES + "/{site_id}", method) for method in ("get", "patch", "delete")),
        *((KEYS, method) for method in ("get", "post")),
        (KEYS + "/{key_id}", "delete"),
    }
