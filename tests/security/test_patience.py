"""Who does not say what it wants is not waited for; and others are answered meanwhile."""

import contextlib
import time

import httpx
import pytest

from tests.e2e.serving import KEY, serving, until
from tests.security.wire import (
    HOST,
    PATIENCE,
    answer,
    connect,
    forget_peak,
    is_closed,
    peak,
    push,
    rest,
    statuses,
)

GET = b"GET /favicon.ico HTTP/1.1\r\n" + HOST
POST = b"POST /v1/events HTTP/1.1\r\n" + HOST
AT_THE_CONSOLE = b"POST /api/v1/links HTTP/1.1\r\n" + HOST + b"Authorization: Bearer %b\r\n" % KEY.encode()
LARGE = POST + b"Content-Length: 1048576\r\n\r\n"

UNFINISHED = {
    "nothing": b"",
    "a line end": b"\r\n",
    "half a method": b"GE",
    "half a line": b"GET /favi",
    "half a head": GET + b"X: y",
    "a head but its end": GET,
    "no body": POST + b"Content-Length: 10\r\n\r\n",
    "half a body": POST + b"Content-Length: 10\r\n\r\n{",
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "no last chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "half a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ",
    "a body after its answer": b"POST /nothing/here HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n{",
    "a second request": GET + b"\r\n" + GET,
}


def test_unfinished_requests_end(server):
    """At the door and the console: nobody holds a connection by being slow."""
    with contextlib.ExitStack() as stack:
        waiting = {}
        for port in (server.port, server.console_port):
            for name, part in UNFINISHED.items():
                sock = waiting[port, name] = stack.enter_context(connect(port))
                sock.sendall(part if port == server.port else part.replace(POST, AT_THE_CONSOLE))
        for (_, name), sock in waiting.items():
            found = statuses(rest(sock))
            told = {"nothing": [], "a line end": [408], "a second request": [404, 408]}
            if name != "a body after its answer":
                assert found == told.get(name, [408]), name


def test_dripping_does_not_help(server):
    """A byte now and then is as nothing: for a head, a body, chunks and what stands between them."""
    drips = {
        "head": (GET + b"X: ", b"a"),
        "headers": (GET, b"a: b\r\n"),
        "line ends": (b"", b"\r\n"),
        "body": (POST + b"Content-Length: 100000\r\n\r\n", b"a"),
        "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        "trailers": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
        "extension": (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
        "refused": (POST + b"Authorization: Bearer x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    }
    with contextlib.ExitStack() as stack:
        open_ = {name: stack.enter_context(connect(server.port)) for name in drips}
        for name, sock in open_.items():
            sock.sendall(drips[name][0])
        deadline = time.monotonic() + PATIENCE
        while open_ and time.monotonic() < deadline:
            for name, sock in list(open_.items()):
                push(sock, drips[name][1])
                sock.setblocking(False)
                try:
                    if sock.recv(1 << 16) == b"":
                        del open_[name]
                except BlockingIOError:
                    pass
                except OSError:
                    del open_[name]
            time.sleep(0.2)
        assert not open_


def test_an_answer_that_is_never_read_is_given_up(server):
    """After a minute in which the client took nothing."""
    request = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
    counted = 'footfall_http_refused_total{reason="unread"}'
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(connect(server.console_port))
            push(sock, request * 17)
        until(lambda: counted in server.console.get("/metrics").text, PATIENCE)


def test_a_body_that_comes_slowly_but_steadily_is_taken(server):
    """Longer than the deadline would allow, at a rate that a poor connection has."""
    body = b'{"events":[{"event_type":"slow","properties":{"a":"%b"}}]}' % (b"x" * 30_000)
    key = server.door.headers["authorization"].encode()
    head = (
        POST + b"Authorization: " + key + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    with connect(server.port) as sock:
        sock.sendall(head % len(body))
        for at in range(0, len(body), 1000):
            sock.sendall(body[at : at + 1000])
            time.sleep(0.03)
        assert answer(sock)[0] == 202


def redirects(server):
    """Whether a visitor is sent on."""
    try:
        answered = httpx.get(f"http://127.0.0.1:{server.port}/visitor", timeout=PATIENCE)
    except httpx.TransportError:
        return False
    return answered.status_code == 302


def make_link(server):
    made = server.console.post("/api/v1/links", json={"url": "https://example.com/", "code": "visitor"})
    assert made.status_code in (201, 409), made.text


def test_more_silent_connections_than_the_usual_limit_of_files(tmp_path):
    """The process raises the limit itself."""
    with serving(tmp_path / "data", prefix=("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh")) as server:
        make_link(server)
        with contextlib.ExitStack() as stack:
            for number in range(1500):
                stack.enter_context(connect(server.port, f"127.0.0.{2 + number % 8}"))
            for number in range(300):
                stack.enter_context(connect(server.console_port, f"127.0.0.{2 + number % 8}"))
            assert redirects(server)
            assert server.console.get("/health/live").status_code == 200


def test_where_the_limit_of_files_cannot_be_raised_connections_stay_below_it(tmp_path):
    with serving(tmp_path / "data", prefix=("sh", "-c", 'ulimit -n 1024; exec "$@"', "sh")) as server:
        make_link(server)
        with contextlib.ExitStack() as stack:
            for number in range(1500):
                stack.enter_context(connect(server.port, f"127.0.0.{2 + number % 8}"))
            assert redirects(server)
            server.send(3)


@pytest.mark.parametrize("own", [True, False], ids=["own address", "other addresses"])
def test_two_thousand_hostile_connections(server, own):
    """Silent ones, unfinished heads, unfinished bodies, and idle ones: a bounded process that answers."""
    make_link(server)
    door = server.children()["door"]
    forget_peak(door)
    kinds = [
        b"",
        GET + b"X: " + b"a" * 60_000,
        GET + b"a: b\r\n" * 150,
        LARGE + b"x" * 500_000,
        GET + b"\r\n",
    ]
    with contextlib.ExitStack() as stack:
        for number in range(2000):
            source = "127.0.0.1" if own else f"127.0.0.{2 + number % 4}"
            with contextlib.suppress(ConnectionError):
                push(stack.enter_context(connect(server.port, source)), kinds[number % len(kinds)], 0.5)
        assert redirects(server)
        server.send(10)
        assert peak(door) < 200


def test_one_address_has_its_share(tmp_path):
    """Beyond it, its own connections give way: those that were silent longest. Others notice nothing."""
    limits = {"FOOTFALL_ADDRESS_CONNECTIONS": "20", "FOOTFALL_CONNECTIONS": "60"}
    with serving(tmp_path / "data", **limits) as server, contextlib.ExitStack() as stack:
        make_link(server)
        other = stack.enter_context(connect(server.port, "127.0.0.9"))
        other.sendall(b"GET /visitor HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answer(other)[0] == 302
        silent = [stack.enter_context(connect(server.port, "127.0.0.2")) for _ in range(50)]
        until(lambda: sum(is_closed(sock) for sock in silent) >= 30)
        assert not is_closed(other)
        newest = stack.enter_context(connect(server.port, "127.0.0.2"))
        newest.sendall(b"GET /visitor HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answer(newest)[0] == 302
        # Of all together: the silent ones of many addresses give way to who asks for something.
        crowd = [stack.enter_context(connect(server.port, f"127.0.1.{number}")) for number in range(1, 100)]
        until(lambda: sum(is_closed(sock) for sock in crowd) >= 40)
        assert redirects(server)
        shown = server.door.get("/metrics").text
        assert 'footfall_http_refused_total{reason="address_connections"}' in shown
        assert 'footfall_http_refused_total{reason="connections"}' in shown


def test_a_trusted_proxy_is_many_clients(tmp_path):
    limits = {"FOOTFALL_ADDRESS_CONNECTIONS": "20", "FOOTFALL_TRUSTED_PROXIES": "127.0.0.2/32"}
    with serving(tmp_path / "data", **limits) as server, contextlib.ExitStack() as stack:
        proxied = [stack.enter_context(connect(server.port, "127.0.0.2")) for _ in range(60)]
        for sock in proxied:
            sock.sendall(b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n")
            assert answer(sock)[0] == 200
        assert not any(is_closed(sock) for sock in proxied)


def test_unfinished_bodies_have_a_bound_together_and_who_finishes_gets_through(tmp_path):
    with (
        serving(tmp_path / "data", FOOTFALL_REQUEST_MEMORY="8MiB") as server,
        contextlib.ExitStack() as stack,
    ):
        door = server.children()["door"]
        forget_peak(door)
        before = peak(door)
        hostile = []
        for _ in range(60):
            sock = stack.enter_context(connect(server.port, "127.0.0.2"))
            push(sock, LARGE + b"x" * 1_000_000)
            hostile.append(sock)
            if len(hostile) % 10 == 0:
                server.send(100)
        refused = [statuses(rest(sock)) for sock in hostile[:40]]
        assert refused == [[503]] * 40
        assert peak(door) < before + 60
        assert 'footfall_http_refused_total{reason="memory"}' in server.door.get("/metrics").text
