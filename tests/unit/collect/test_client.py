"""Whose address it is: forwarded headers count only behind proxies that we were told of."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect.client import Proxies, header_text, read_caller

INSIDE = Proxies((ip_network("10.0.0.0/8"), ip_network("::1/128")))
NOBODY = Proxies(())


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "client"),
    [
        (NOBODY, "203.0.113.9", "", "203.0.113.9"),
        (NOBODY, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (NOBODY, "127.0.0.1", "198.51.100.1", "127.0.0.1"),
        (INSIDE, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (INSIDE, "10.1.1.1", "198.51.100.1", "198.51.100.1"),
        (INSIDE, "10.1.1.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (INSIDE, "10.1.1.1", "6.6.6.6, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        (INSIDE, "10.1.1.1", "198.51.100.1:4711", "198.51.100.1"),
        (INSIDE, "::1", "[2001:db8::7]:443", "2001:db8::7"),
        (INSIDE, "10.1.1.1", "unknown", "10.1.1.1"),
        (INSIDE, "10.1.1.1", "", "10.1.1.1"),
        (INSIDE, "10.1.1.1", "10.9.9.9", "10.9.9.9"),
        (INSIDE, "::ffff:10.1.1.1", "198.51.100.1", "198.51.100.1"),
        (NOBODY, "::ffff:203.0.113.9", "", "203.0.113.9"),
        (NOBODY, "", "", ""),
    ],
)
def test_the_client_address(proxies, peer, forwarded, client):
    assert proxies.client_ip(peer, forwarded) == client


@given(st.text(max_size=100))
def test_a_stranger_cannot_choose_its_address(forwarded):
    assert INSIDE.client_ip("203.0.113.9", forwarded) == "203.0.113.9"


@given(st.text(max_size=60), st.ip_addresses())
def test_what_stands_left_of_the_last_stranger_does_not_matter(left, client):
    known = NOBODY.client_ip(str(client), "")
    if not INSIDE._is_trusted(str(client)):
        assert INSIDE.client_ip("10.1.1.1", f"{left}, {client}") == known


def scope(*headers):
    return {"client": ("203.0.113.9", 1), "headers": headers}


def test_headers_are_read_and_cut():
    caller = read_caller(
        scope(
            (b"user-agent", b"A" * 5000),
            (b"host", b"Go.Example:8000"),
            (b"accept-language", b"de-CH,de;q=0.9,en;q=0.8"),
            (b"referer", "https://example.com/ä".encode()),
            (b"sec-ch-ua", b'"Chromium";v="130"'),
            (b"sec-ch-ua-mobile", b"?0"),
            (b"sec-ch-ua-platform", b'"Linux"'),
        ),
        NOBODY,
    )
    assert caller.user_agent == "A" * 1000
    assert caller.host == "go.example:8000"
    assert caller.language == "de-CH"
    assert caller.referrer == "https://example.com/ä"
    assert caller.client_hints == '"Chromium";v="130"|?0|"Linux"'


@given(st.binary(max_size=300))
def test_header_text_never_carries_control_characters(value):
    text = header_text(value, 200)
    assert len(text) <= 200
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in text)
    text.encode()
