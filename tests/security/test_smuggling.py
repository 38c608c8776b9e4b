"""What two servers could read in two ways is refused, and what is no request is not taken for one."""

import pytest

from tests.security.wire import CLOSE, HOST, ask, statuses

HIDDEN = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/events HTTP/1.1\r\n" + HOST
GET = b"GET /health/live HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "length and chunked": POST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and length": POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 46\r\n\r\n" + HIDDEN,
    "two lengths in one": POST + b"Content-Length: 0, 46\r\n\r\n" + HIDDEN,
    "a signed length": POST + b"Content-Length: +4\r\n\r\nabcd" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x4\r\n\r\nabcd" + HIDDEN,
    "a length beyond 64 bits": POST + b"Content-Length: 18446744073709551617\r\n\r\na" + HIDDEN,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and another": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and another, in two": POST
    + b"Transfer-Encoding: gzip\r\n"
    + CHUNKED
    + b"\r\n0\r\n\r\n"
    + HIDDEN,
    "chunked and another of a GET": GET
    + HOST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "chunked in HTTP/1.0": b"POST /v1/events HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "a folded line": POST + b"X: a\r\n b\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a bare line feed in the head": b"GET /health/live HTTP/1.1\nHost: localhost\n\n" + HIDDEN,
    "a bare carriage return": GET + b"Host: localhost\rX: y\r\n\r\n" + HIDDEN,
    "a NUL in a value": GET + HOST + b"X: a\0b\r\n\r\n" + HIDDEN,
    "a NUL in the target": b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n" + HIDDEN,
    "a chunk longer than it says": POST + CHUNKED + b"\r\n2\r\nabcd\r\n0\r\n\r\n" + HIDDEN,
    "a chunk size beyond 64 bits": POST + CHUNKED + b"\r\n10000000000000001\r\na\r\n0\r\n\r\n" + HIDDEN,
    "a signed chunk size": POST + CHUNKED + b"\r\n+1\r\na\r\n0\r\n\r\n" + HIDDEN,
    "a chunk ended by a line feed": POST + CHUNKED + b"\r\n1\na\n0\n\n" + HIDDEN,
    "a space in a header name": GET + HOST + b"X y: z\r\n\r\n" + HIDDEN,
    "a line without a colon": GET + HOST + b"just words\r\n\r\n" + HIDDEN,
    "a tunnel": b"CONNECT localhost:22 HTTP/1.1\r\n" + HOST + b"\r\n" + HIDDEN,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET /health/live HTTP/9.9\r\n" + HOST + b"\r\n" + HIDDEN,
    "no version": b"GET /health/live\r\n" + HOST + b"\r\n" + HIDDEN,
    "an unknown method": b"STEAL / HTTP/1.1\r\n" + HOST + b"\r\n" + HIDDEN,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(port, name):
    received = ask(port, REFUSED[name])

    found = statuses(received)
    assert 400 in found or 404 in found or 401 in found, received
    if "another" in name or "1.0" in name:
        assert found == [400], received
    assert 200 not in found, received  # the hidden one was not answered


# Of each the body is a request. Whether it is refused or answered, it is not taken for one.
BODIES = {
    "a body that nobody wants": b"POST /nothing/here HTTP/1.1\r\n" + HOST + CLOSE,
    "a body of a GET": b"GET /favicon.ico HTTP/1.1\r\n" + HOST + CLOSE,
    "a body of a DELETE": b"DELETE /favicon.ico HTTP/1.1\r\n" + HOST + CLOSE,
    "a body of events": POST + CLOSE,
    "an upgrade to HTTP/2": POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
    "an upgrade to a socket": POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "an upgrade of a GET": b"GET /favicon.ico HTTP/1.1\r\n"
    + HOST
    + b"Connection: Upgrade\r\nUpgrade: foo\r\n",
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_never_read_as_a_request(port, name, chunked, apart):
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN) if chunked else HIDDEN
    framing = CHUNKED if chunked else b"Content-Length: %d\r\n" % len(HIDDEN)
    head = BODIES[name] + framing + b"\r\n"

    received = ask(port, head, body) if apart else ask(port, head + body)

    found = statuses(received)
    assert len(found) == 1, received
    assert 200 not in found, received


def test_after_a_connection_was_to_be_closed_nothing_is_answered(port):
    received = ask(port, GET + HOST + CLOSE + b"\r\n" + HIDDEN + HIDDEN)

    assert statuses(received) == [200]


def test_trailers_are_no_headers(server):
    """A key in a trailer is no key."""
    body = b'{"events":[{"event_type":"trailing"}]}'
    request = POST + CLOSE + CHUNKED + b"\r\n%x\r\n%b\r\n0\r\n" % (len(body), body)

    received = ask(server.port, request + b"Authorization: Bearer the-admin-key-of-the-tests\r\n\r\n")

    assert statuses(received) == [401]
