"""A key that is revoked while a body arrives is not taken, however much came before."""

import httpx
import pytest

from tests.e2e.serving import until
from tests.security.wire import HOST, answer, connect

EVENTS = b'{"events":[{"event_type":"after revocation"}]}'
LINE = b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] \\"GET /a HTTP/1.1\\" 200 5 \\"-\\" \\"-\\"'

# Scope, whether at the door, path, body, and where it would be seen.
WRITES = {
    "events": ("ingest", True, b"/v1/events", EVENTS),
    "events of an admin": ("admin", True, b"/v1/events", EVENTS),
    "a link": ("links", False, b"/api/v1/links", b'{"url":"https://example.com/revoked","code":"revoked"}'),
    "a site": ("admin", False, b"/api/v1/sites", b'{"name":"revoked"}'),
    "a key": ("admin", False, b"/api/v1/keys", b'{"name":"revoked","scopes":["admin"]}'),
    "an import": (
        "admin", False, b"/api/v1/imports/access-log",
        b'{"site_id":"none","lines":["%b"],"occurrences":[1]}' % LINE,
    ),
    "a question": (
        "read", False, b"/v1/query", b'{"site_id":"*","metrics":["visitors"],"date_range":"7d"}',
    ),
    "letters to discard": ("admin", False, b"/api/v1/dead-letters/discard", b'{"reason":"unprocessable"}'),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_a_key_is_asked_again_when_the_body_is_there(server, name):
    scope, at_the_door, path, body = WRITES[name]
    made = server.console.post("/api/v1/keys", json={"name": name, "scopes": [scope]})
    assert made.status_code == 201, made.text
    key = made.json()
    secret = {"authorization": f"Bearer {key['key']}"}
    port, client = (server.port, server.door) if at_the_door else (server.console_port, server.console)
    with connect(port) as sock:
        sock.sendall(b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n")
        sock.sendall(b"Authorization: Bearer %b\r\n" % key["key"].encode())
        sock.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body[:9]))
        known = client.post(path.decode(), headers=secret, content=b"{")
        assert known.status_code not in (401, 403), known.text  # it is read, so the request above is, too
        assert server.console.delete(f"/api/v1/keys/{key['id']}").status_code in (200, 204)
        until(lambda: client.post(path.decode(), headers=secret, content=b"{").status_code == 401)

        sock.sendall(body[9:])
        status, _, told = answer(sock)

    assert status == 401, told


GONE = {
    "deleted": lambda server, site: server.console.delete(f"/api/v1/sites/{site}"),
    "of other pages": lambda server, site: server.console.patch(
        f"/api/v1/sites/{site}", json={"origins": ["elsewhere.example"]}
    ),
}


@pytest.mark.parametrize("name", GONE)
def test_a_site_is_asked_again_too(server, name):
    site = server.console.post("/api/v1/sites", json={"name": name}).json()["id"]
    path = f"/v1/events?site_id={site}"

    def refused():
        answered = httpx.post(f"http://127.0.0.1:{server.port}{path}", content=EVENTS, timeout=60)
        return answered.status_code != 202

    until(lambda: not refused())
    with connect(server.port) as sock:
        sock.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST)
        sock.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(EVENTS), EVENTS[:9]))
        assert not refused()  # it is read, so the request above is, too
        assert GONE[name](server, site).is_success
        until(refused)

        sock.sendall(EVENTS[9:])
        status, _, told = answer(sock)

    assert status in (400, 403), told
