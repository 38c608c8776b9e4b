"""What one client can make a process hold or do is bounded, whatever it sends and however it reads."""

import socket
import time

import pytest

from tests.e2e.serving import KEY, until
from tests.security.wire import (
    CLOSE,
    HOST,
    MB,
    answer,
    ask,
    connect,
    forget_peak,
    is_closed,
    memory,
    peak,
    push,
    rest,
    statuses,
)

GET = b"GET /favicon.ico HTTP/1.1\r\n" + HOST
CHUNKED = b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
HEADS = 64 << 10

PIPELINED = {
    "of a page": GET + b"\r\n",
    "of a health check": b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "of heads": b"HEAD /favicon.ico HTTP/1.1\r\n" + HOST + b"\r\n",
    "of codes": b"GET /nothing-here HTTP/1.1\r\n" + HOST + b"\r\n",
    "with bodies": b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}",
    "with chunked bodies": CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
}


@pytest.fixture
def pid(server, port):
    return server.children()["door" if port == server.port else "worker"]


@pytest.mark.parametrize("name", PIPELINED)
@pytest.mark.parametrize("reads", [False, True])
def test_a_pipeline_does_not_grow_the_process(server, port, pid, name, reads):
    requests = PIPELINED[name] * (1 + 20 * MB // len(PIPELINED[name]))
    with connect(port) as sock:
        forget_peak(pid)
        before = peak(pid)
        if reads:
            sock.setblocking(False)
            _send_and_read(sock, requests)
        else:
            push(sock, requests)
        # The worker has its engine beside the console; a door is small.
        assert peak(pid) < (200 if port == server.port else before + 60)


def _send_and_read(sock, requests):
    """Both at once, until the server closes or has taken all."""
    sent, deadline = 0, time.monotonic() + 10
    while sent < len(requests) and time.monotonic() < deadline:
        try:
            sent += sock.send(requests[sent : sent + MB])
        except BlockingIOError:
            time.sleep(0.001)
        except OSError:
            return
        try:
            if not sock.recv(MB):
                return
        except BlockingIOError:
            pass
        except OSError:
            return


def test_a_short_pipeline_is_answered_in_order(port):
    paths = [b"/nothing/%d" % number for number in range(16)]
    requests = b"".join(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n" for path in paths)

    received = ask(port, requests + b"GET /nothing/last HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")

    assert statuses(received) == [404] * 17
    places = [received.index(b'"%b"' % path) for path in [*paths, b"/nothing/last"]]
    assert places == sorted(places)


def test_a_long_pipeline_is_answered_in_part_and_closed(port):
    found = statuses(ask(port, (GET + b"\r\n") * 5000))

    assert 0 < len(found) <= 17
    assert set(found) == {404}


TOO_LARGE = {
    "one header": GET + b"X: " + b"a" * 8 * MB + b"\r\n\r\n",
    "one header of just too much": GET + b"X: " + b"a" * HEADS + b"\r\n\r\n",
    "a header's name": GET + b"x" * 8 * MB + b": a\r\n\r\n",
    "many headers": GET + b"X: abc\r\n" * 100_000 + b"\r\n",
    "many empty headers": GET + b"a:\r\n" * 2000 + b"\r\n",
    "cookies": GET + b"Cookie: %b\r\n" % (b"c" * 4000) * 20 + b"\r\n",
    "the URL": b"GET /" + b"a" * 16 * MB + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "the query": b"GET /favicon.ico?" + b"a=b&" * 30_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a head without an end": GET + b"X: " + b"a" * 8 * MB,
    "line ends before it": b"\r\n" * MB,
    "a chunk's extension": CHUNKED + b"2;" + b"x" * MB,
    "trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: abc\r\n" * 100_000,
    "a trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX: " + b"a" * 8 * MB,
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_head_is_counted_in_bytes(port, pid, name):
    forget_peak(pid)
    before = peak(pid)

    received = ask(port, TOO_LARGE[name])

    assert peak(pid) < before + 30
    # The console says before the body that it takes no events.
    told = [[431], [404]] if TOO_LARGE[name].startswith(CHUNKED) else [[431]]
    assert statuses(received) in told, received


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"a" * (HEADS - 200) + b"\r\n",
        GET + b"X: ab\r\n" * 150,
        b"GET /favicon.ico?" + b"q" * 60_000 + b" HTTP/1.1\r\n" + HOST,
    ],
    ids=["bytes", "lines", "query"],
)
def test_a_head_within_the_bounds_is_taken(server, head):
    assert statuses(ask(server.port, head + CLOSE + b"\r\n")) == [404]


def test_a_head_in_pieces_is_one_head(port):
    head = GET + b"X: " + b"a" * 30_000 + b"\r\n" + CLOSE + b"\r\n"

    assert statuses(ask(port, *(head[at : at + 4001] for at in range(0, len(head), 4001)))) == [404]


def test_a_body_in_pieces_is_one_body(server):
    body = b'{"events":[%b]}' % b",".join([b'{"event_type":"in pieces"}'] * 1000)
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Authorization: Bearer %b\r\n" % KEY.encode()
    plain = head + b"Content-Length: %d\r\n\r\n" % len(body)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with connect(server.port) as sock:
        for parts in ([plain + body[:5], body[5:20_000], body[20_000:]], [head + CHUNKED[-30:] + chunks]):
            for part in parts:
                sock.sendall(part)
                time.sleep(0.05)
            status, _, answered = answer(sock)
            assert (status, answered[:16]) == (202, b'{"accepted":1000')


def test_an_early_answer_lets_the_connection_go_on(server):
    """The body of a refused request is read past, and the next request is answered."""
    with connect(server.port) as sock:
        sock.sendall(b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Authorization: Bearer wrong\r\n")
        sock.sendall(b"Content-Length: 100000\r\n\r\n")
        assert answer(sock)[0] == 401
        sock.sendall(b"x" * 100_000 + b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answer(sock)[0] == 200


def test_an_answer_that_is_not_read_is_not_collected(server):
    """Large answers of the console, asked for again and again, and never read."""
    worker = server.children()["worker"]
    request = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
    forget_peak(worker)
    before = peak(worker)
    connections = [connect(server.console_port) for _ in range(20)]
    try:
        for sock in connections:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            push(sock, request * 16)
        until(lambda: server.console.get("/health/live").status_code == 200)
        assert peak(worker) < before + 100
    finally:
        for sock in connections:
            sock.close()


def test_more_than_the_last_request_is_not_answered_but_does_no_harm(port):
    with connect(port) as sock:
        push(sock, b"GET /health/live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n" + b"\0" * MB)
        assert statuses(rest(sock)) in ([200], [])
    assert statuses(ask(port, b"GET /health/live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")) == [200]


def test_memory_is_given_back(server):
    """After many unfinished bodies, once their senders are gone."""
    door = server.children()["door"]
    before = memory(door)
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 1048576\r\n\r\n"
    connections = [connect(server.port, f"127.0.0.{2 + number % 4}") for number in range(100)]
    for sock in connections:
        push(sock, head + b"x" * 900_000)
    for sock in connections:
        sock.close()
    until(lambda: memory(door) < before + 25)


def test_a_client_that_goes_in_the_middle_is_forgotten(server):
    for part in (
        GET,
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nab",
        CHUNKED + b"5\r\na",
    ):
        with connect(server.port) as sock:
            sock.sendall(part)
            assert not is_closed(sock)
    shown = "footfall_http_connections "
    until(lambda: f"{shown}1.0" in server.door.get("/metrics").text.replace(f"# HELP {shown}", ""))
