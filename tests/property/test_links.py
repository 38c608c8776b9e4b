"""Targets, codes and domains of links, against everything hypothesis can think of."""

import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from footfall.errors import Invalid
from footfall.tenants.links.targets import MAX_URL, RESERVED, check_code, check_domain, check_target, names_of

OWN = frozenset({"go.example.com", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"})

TRICKS = [
    *(
        "http://",
        "https://",
        "HTTPS://",
        "http:",
        "http:/",
        "http:///",
        "//",
        "javascript:alert(1)",
        "data:,x",
    ),
    *(
        "/",
        "\\",
        "@",
        "user:pw@",
        "\r\n",
        "\n",
        "\t",
        " ",
        "\0",
        "%0d%0a",
        "%5c",
        "%2f",
        "%40",
        "%",
        "?",
        "#",
    ),
    *("evil.com", "go.example.com", "GO.EXAMPLE.COM", "go.example.com.", "go\u3002example\uff0ecom"),
    *("localhost", "127.0.0.1", "0x7f000001", "2130706433", "127.1", "[::1]", "[::", "[fe80::1%25eth0]"),
    *(
        ":80",
        ":443",
        ":8000",
        ":99999",
        ":",
        ".",
        "..",
        "-",
        "_",
        "xn--",
        "ü",
        "faß.de",
        "☃",
        "\u2028",
        "\xa0",
    ),
    *("\ud800", "\x7f", "\x85", "\u202e", "\u2100", "\uff20", "\uff0f", "a" * 64, "é" * 3000, "&", "{}", "|"),
    *('"', "<script>", "`", "^", "'"),
]
OURS = [
    "go.example.com",
    "GO.Example.com",
    "go.example.com.",
    "go\u3002example\uff0ecom",
    "\uff47o.example.com",
]

tricky = st.lists(st.sampled_from(TRICKS) | st.text(max_size=5), max_size=8).map("".join)
anything = (
    st.text(max_size=60)
    | tricky
    | tricky.map("http://".__add__)
    | tricky.map("https://x.de".__add__)
    | st.text().map("https://x.de/".__add__)
)


def location(url: str) -> str | None:
    try:
        return check_target(url, OWN)
    except Invalid as error:
        assert (error.field, str(error)[:4]) == ("url", "url ")  # noqa: PT017 -- it may be accepted
        return None


@settings(max_examples=1000)
@given(anything)
@example("http://go.example.com\\@evil.com/")
@example("http://evil.com\r\nSet-Cookie: a=b")
@example("http://a.de/" + "é" * 2000)
def test_what_is_accepted_is_a_plain_web_address_somewhere_else(url: str):
    accepted = location(url)
    if accepted is None:
        return
    # Nothing but printable ASCII: it fits into a header, and cannot end it.
    assert re.fullmatch(r"[!-~]+", accepted)
    assert "\\" not in accepted
    assert len(accepted) <= MAX_URL
    parts = urlsplit(accepted)
    assert parts.scheme in {"http", "https"}
    assert parts.hostname
    assert parts.username is None
    assert parts.password is None
    assert not OWN.intersection(names_of(accepted))
    # The same host that a reader of the original sees.
    if url.isascii() and "[" not in url:
        assert parts.hostname == (urlsplit(url.strip(" ")).hostname or "").removesuffix(".")
        assert parts.port == urlsplit(url.strip(" ")).port
    # What is accepted once stays as it is.
    assert location(accepted) == accepted


@given(st.sampled_from(TRICKS).filter(lambda t: not t.lower().startswith("http")), st.text(max_size=30))
def test_only_http_and_https_are_accepted(start: str, rest: str):
    assume(not re.match(r"\s*https?://", start + rest, re.IGNORECASE))
    assert location(start + rest) is None


@given(
    st.sampled_from(OURS),
    st.sampled_from(["", ":80", ":443", ":8443"]),
    st.sampled_from(["http://", "https://", "HTTP://", " https://"]),
    st.sampled_from(["", "/", "/x", "?x", "#x"]),
)
def test_no_spelling_of_our_own_host_is_accepted(host: str, port: str, scheme: str, rest: str):
    with pytest.raises(Invalid, match="back at this installation"):
        check_target(scheme + host + port + rest, OWN)


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?(\.[a-z]{2,10}){1,3}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\"), max_size=100),
)
def test_any_path_and_query_comes_through(host: str, rest: str):
    url = f"https://{host}/{rest.strip(' ')}"
    assert unquote(check_target(url, OWN)) == unquote(url)


@given(
    st.text(max_size=70)
    | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
    | st.sampled_from(sorted(RESERVED))
)
@example("a\n")
@example("é")
@example("\u0661")
def test_a_code_is_one_plain_segment_of_a_path(code: str):
    allowed = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", code) and code not in RESERVED
    if allowed:
        assert check_code(code) == code
        assert quote(code, safe="") == code
    else:
        with pytest.raises(Invalid) as refused:
            check_code(code)
        assert refused.value.field == "code"


@given(anything | st.sampled_from(["go.example.com:8080", "Bücher.example", "1.usa.gov", "localhost:9000"]))
@example("1.usa.gov")
def test_a_domain_is_what_a_host_header_says(domain: str):
    try:
        checked = check_domain(domain)
    except Invalid as error:
        assert (error.field, "domain" in str(error)) == ("domain", True)  # noqa: PT017 -- it may be accepted
        return
    assert checked.isascii()
    assert checked == checked.lower()
    assert urlsplit(f"http://{checked}/x").netloc == checked
    assert check_domain(checked) == checked
