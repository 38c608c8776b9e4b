"""What a target becomes that gets the query of a visit."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.tenants.links.targets import MAX_URL, check_target, with_query


@pytest.mark.parametrize(
    ("target", "query", "location"),
    [
        ("https://e.com/", b"", "https://e.com/"),
        ("https://e.com/", b"&", "https://e.com/"),
        ("https://e.com/a", b"gclid=x&utm_source=y", "https://e.com/a?gclid=x&utm_source=y"),
        ("https://e.com/a?p=1#top", b"gclid=x", "https://e.com/a?p=1&gclid=x#top"),
        ("https://e.com/?utm_source=mail&p=1", b"utm_source=qr", "https://e.com/?p=1&utm_source=qr"),
        (
            "https://e.com/?utm_source=mail",
            b"utm_source=&fbclid=z",
            "https://e.com/?utm_source=mail&fbclid=z",
        ),
        ("https://e.com/?utm%5Fsource=mail", b"utm_source=qr", "https://e.com/?utm_source=qr"),
        ("https://e.com/?a=1&a=2&flag", b"b=3&b=4", "https://e.com/?a=1&a=2&flag&b=3&b=4"),
        ("https://e.com/", b"q=a+b%20c&e=%C3%BC", "https://e.com/?q=a+b%20c&e=%C3%BC"),
        ("https://e.com/", b"a=1\r\nSet-Cookie: x", "https://e.com/?a=1%0D%0ASet-Cookie:%20x"),
        ("https://e.com", b"@evil.example/", "https://e.com?@evil.example/"),
        ("https://e.com/", b"a=1#frag", "https://e.com/?a=1%23frag"),
        ("https://e.com/", b"x=\xff\xfc\x00", "https://e.com/?x=%FF%FC%00"),
        ("https://e.com/", b"x=" + b"y" * MAX_URL, "https://e.com/"),
    ],
)
def test_the_visit_s_parameters_replace_those_of_the_target(target, query, location):
    assert with_query(target, query) == location


@given(
    target=st.sampled_from(["https://e.com", "https://e.com/a?b=1&c=#d", "http://e.com:81/?x=1#"]),
    query=st.binary(max_size=60) | st.text("ab=&?#/@:\\\r\n %", max_size=30).map(str.encode),
)
def test_whatever_a_visit_says_only_the_query_changes(target, query):
    made = with_query(check_target(target, ()), query)
    assert made.isascii()
    assert made.isprintable()
    assert " " not in made
    before, after = urlsplit(target), urlsplit(made)
    assert (after.scheme, after.netloc, after.path, after.fragment) == (
        before.scheme, before.netloc, before.path, before.fragment,
    )  # fmt: skip
    there = {name for name, _ in parse_qsl(after.query, keep_blank_values=True)}
    assert {name for name, _ in parse_qsl(before.query, keep_blank_values=True)} <= there
