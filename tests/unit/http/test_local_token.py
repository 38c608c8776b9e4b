"""The local token opens the console for callers on this machine, and for nobody else."""

import anyio
import pytest

from footfall.http.local_token import only_from_here
from footfall.runtime.data_directory import new_token


def seen(authorization, client):
    """The Authorization headers that the application behind it sees."""
    found = []

    async def app(scope, _receive, _send):
        found.extend(value for name, value in scope["headers"] if name == b"authorization")

    headers = [(b"host", b"x"), (b"authorization", authorization)]
    anyio.run(only_from_here(app), {"type": "http", "client": client, "headers": headers}, None, None)
    return found


@pytest.mark.parametrize("client", [("127.0.0.1", 1), ("127.8.8.8", 1), ("::1", 1)])
def test_here_it_is_let_through(client):
    header = b"Bearer " + new_token().encode()
    assert seen(header, client) == [header]


@pytest.mark.parametrize("client", [("192.0.2.1", 1), ("2001:db8::1", 1), ("unix", 0), None])
@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"Bearer   ", b"Bearer x, Bearer ", b""])
def test_from_elsewhere_it_is_taken_away(client, scheme):
    assert seen(scheme + new_token().encode(), client) == []


def test_other_keys_are_let_through_from_everywhere():
    assert seen(b"Bearer ff_secret", ("192.0.2.1", 1)) == [b"Bearer ff_secret"]


def test_what_has_no_headers_is_let_through():
    async def app(scope, _receive, _send):
        assert scope == {"type": "lifespan"}

    anyio.run(only_from_here(app), {"type": "lifespan"}, None, None)
