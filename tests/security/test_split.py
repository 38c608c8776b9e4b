"""How the bytes of a connection are cut into packets changes nothing of what is answered."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.wire import CLOSE, HOST, ask, connect, push, rest

GET = b"GET /not/there?q=1 HTTP/1.1\r\n" + HOST
POST = b"POST /not/there HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LAST = GET + CLOSE + b"\r\n"
REQUESTS = {
    "a request": LAST,
    "two": GET + b"\r\n" + LAST,
    "a body": POST + b"Content-Length: 5\r\n\r\nhello" + LAST,
    "chunks": POST + CHUNKED + b"\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n" + LAST,
    "an upgrade": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    b"Content-Length: 60\r\n\r\n" + (GET + b"\r\n").ljust(60, b" ") + GET + b"\r\n",
    "garbage behind": GET + b"\r\n" + b"\0\1\2\r\n\r\n",
    "two hosts": GET + HOST + b"\r\n",
    "both framings": GET + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + GET + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
@given(cuts=st.lists(st.integers(1, 200), max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_gives_the_same_answers(port, name, cuts):
    request = REQUESTS[name]
    whole = ask(port, request)
    at = 0
    with connect(port) as sock:
        for cut in sorted({cut for cut in cuts if cut < len(request)}):
            push(sock, request[at:cut])
            at = cut
        push(sock, request[at:])
        assert _without_ids(rest(sock)) == _without_ids(whole)


def _without_ids(received):
    return re.sub(rb"footfall-event: .*\r\n", b"", received)
