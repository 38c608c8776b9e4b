"""Examples of what a link may point at; the rules in general are in tests/property/test_links.py."""

import pytest

from footfall.errors import Invalid
from footfall.tenants.links.targets import MAX_URL, check_domain, check_target


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://example.com", "https://example.com"),
        ("  http://Example.COM:8080/Path?q=A#f ", "http://example.com:8080/Path?q=A#f"),
        ("http://plano.gov/oe 2011/A.pdf", "http://plano.gov/oe%202011/A.pdf"),
        ("http://example.com/?q=high wind warning", "http://example.com/?q=high%20wind%20warning"),
        ("http://example.com/Marineâ€™s", "http://example.com/Marine%C3%A2%E2%82%AC%E2%84%A2s"),
        ("http://example.com/%20%zz%", "http://example.com/%20%zz%"),
        ('http://example.com/"<a>`', "http://example.com/%22%3Ca%3E%60"),
        ("http://example.com/a@b:c", "http://example.com/a@b:c"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://faß.de/", "https://xn--fa-hia.de/"),
        ("http://my_host.example.com./", "http://my_host.example.com/"),
        ("http://intranet/", "http://intranet/"),
        ("http://192.0.2.1/", "http://192.0.2.1/"),
        ("http://[2001:DB8:0::1]:81/", "http://[2001:db8::1]:81/"),
    ],
)
def test_accepted_targets_and_their_location(url: str, location: str):
    assert check_target(url, ()) == location


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "http://"),
        ("example.com", "http://"),
        ("//example.com/", "http://"),
        ("ftp://example.com/", "http://"),
        ("javascript:alert(1)", "http://"),
        ("java\nscript:alert(1)", "control"),
        ("http:example.com", "http://"),
        ("http:///example.com", "host"),
        ("http://", "host"),
        ("http://:80/", "host"),
        ("http://?q", "host"),
        ("https://example.com@evil.example/", "user name"),
        ("https://user:pw@example.com/", "user name"),
        ("https://example.com\\@evil.example/", "backslash"),
        ("https://example.com/\r\nX: y", "control"),
        ("https://exa\tmple.com/", "control"),
        ("https://example.com/\x00", "control"),
        ("https://example.com/\ud800", "control"),
        ("https://exa mple.com/", "host name"),
        ("https://ex%61mple.com/", "host name"),
        ("https://-example.com/", "host name"),
        ("https://example..com/", "host name"),
        (f"https://{'a' * 64}.com/", "host name"),
        ("https://⒈com.example/", "host name"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:x/", "host"),
        ("http://127.1/", "IPv4"),
        ("http://2130706433/", "IPv4"),
        ("http://0x7f.0.0.1/", "IPv4"),
        ("http://[::1/", "host"),
        ("http://[1::2::3]/", "IPv6"),
        ("http://example.com/" + "a" * MAX_URL, "longer"),
        ("http://example.com/" + "é" * 2000, "encoded"),
    ],
)
def test_refused_targets_and_why(url: str, why: str):
    with pytest.raises(Invalid, match=why) as refused:
        check_target(url, ())
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("1.USA.gov", "1.usa.gov"),
        ("go.example.com:443", "go.example.com"),
        ("localhost:9000", "localhost:9000"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_accepted_domains(given: str, stored: str):
    assert check_domain(given) == stored


@pytest.mark.parametrize(
    "domain",
    ["", " ", "intranet", "192.0.2.1", "[::1]", "a b.com", "a.com/x", "http://a.com", "a@b.com", "a.com\n"],
)
def test_refused_domains(domain: str):
    with pytest.raises(Invalid) as refused:
        check_domain(domain)
    assert refused.value.field == "domain"


@pytest.mark.parametrize(
    "spelled", ["[::ffff:127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "127.9.9.9", "0.0.0.0"]
)
def test_an_address_of_the_machine_is_one_however_it_is_spelled(spelled):
    with pytest.raises(Invalid):
        check_target(f"http://{spelled}:8000/x", {"localhost:8000"})
    assert check_target("http://[64:ff9b::102:304]:8000/x", {"localhost:8000"})
