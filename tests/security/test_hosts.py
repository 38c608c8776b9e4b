"""A request names one host; whose link it means does not depend on how the name is spelled."""

import httpx
import pytest

from tests.e2e.serving import until
from tests.security.wire import CLOSE, ask, statuses

PATHS = [b"/health/live", b"/anything"]

WRONG = {
    "none": b"",
    "two": b"Host: localhost\r\nHost: localhost\r\n",
    "two in another case": b"Host: localhost\r\nhost: other.example\r\n",
    "a path": b"Host: localhost/path\r\n",
    "a user": b"Host: user@localhost\r\n",
    "two names": b"Host: localhost other.example\r\n",
    "a port that is none": b"Host: localhost:80x\r\n",
    "two ports": b"Host: localhost:80:81\r\n",
    "a quote": b'Host: local"host\r\n',
    "a backslash": b"Host: localhost\\evil.example\r\n",
    "an open bracket": b"Host: [::1\r\n",
    "bytes beyond ASCII": b"Host: loc\xc3\xa4lhost\r\n",
    "a very long one": b"Host: " + b"a." * 1000 + b"example\r\n",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", WRONG)
def test_no_host_or_more_than_one_is_refused(port, name, path):
    received = ask(port, b"GET " + path + b" HTTP/1.1\r\n" + WRONG[name] + CLOSE + b"\r\n")

    assert statuses(received) == [400], received


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:1", b"127.0.0.1:8000", b"[::1]:80", b"", b"a_b.example."]
)
def test_a_host_is_taken(port, host):
    request = b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\n" + CLOSE + b"\r\n"

    assert statuses(ask(port, request)) == [200]


def test_a_client_of_http_1_0_needs_none(port):
    assert statuses(ask(port, b"GET /health/live HTTP/1.0\r\n\r\n")) == [200]


@pytest.fixture(scope="module")
def links(server):
    """The same code at two places."""
    for domain, url in (("", "https://example.com/default"), ("alias.example", "https://example.com/alias")):
        made = server.console.post(
            "/api/v1/links", json={"url": url, "code": "same"} | ({"domain": domain} if domain else {})
        )
        assert made.status_code == 201, made.text
    return server


SPELLINGS = [
    "alias.example", "ALIAS.example", "alias.example:80", "alias.example:8000", "alias.example:",
    "alias.example.", "alias.example.:443",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_domain_is_known_with_its_port_and_its_dot(links, spelling):
    def redirected():
        answer = httpx.get(f"http://127.0.0.1:{links.port}/same", headers={"host": spelling}, timeout=60)
        return answer.headers.get("location")

    until(lambda: redirected() == "https://example.com/alias")  # a new domain is known within a second


def test_the_host_of_a_whole_url_counts(links):
    """As proxies are asked: the target says which host, whatever the header says."""
    request = b"GET http://alias.example/same HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n"

    assert b"https://example.com/alias" in ask(links.port, request)


@pytest.mark.parametrize(
    "target", [b"http://localhost@alias.example/same", b"http://alias.example:80@localhost/same"]
)
def test_a_whole_url_names_no_user(links, target):
    request = b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n"

    assert statuses(ask(links.port, request)) == [400]
