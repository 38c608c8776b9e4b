"""What a request of an access log counts as."""

import pytest

from footfall.errors import Invalid
from footfall.imports.access_log import requests, rules
from footfall.imports.access_log.rules import ASSETS, Pages, is_asset, judge
from footfall.model.reasons import Reason


@pytest.mark.parametrize(
    ("method", "path", "status", "of_link", "outcome"),
    [
        ("GET", "/", 200, False, "page_view"),
        ("GET", "/about.html", 304, False, "page_view"),
        ("GET", "/release-1.2", 200, False, "page_view"),
        ("GET", "/index.php", 200, False, "page_view"),
        ("GET", "/sale", 302, True, "click"),
        ("GET", "/sale", 307, True, "click"),
        ("GET", "/sale", 302, False, Reason.STATUS),
        ("GET", "/sale", 200, True, "page_view"),
        ("GET", "/sale", 404, True, Reason.STATUS),
        ("GET", "/movie", 206, False, Reason.STATUS),
        ("GET", "/", 500, False, Reason.STATUS),
        ("GET", "/a/logo.PNG", 200, False, Reason.ASSET),
        ("GET", "/favicon.ico", 200, False, Reason.ASSET),
        ("GET", "/robots.txt", 200, False, Reason.ASSET),
        ("GET", "/logo.png", 404, False, Reason.STATUS),
        ("HEAD", "/", 200, False, Reason.METHOD),
        ("POST", "/sale", 302, True, Reason.METHOD),
        ("get", "/", 200, False, Reason.METHOD),
        ("GET", "*", 200, False, Reason.BAD_LINE),
        ("GET", "", 200, False, Reason.BAD_LINE),
    ],
)
def test_a_request_counts_as(method, path, status, of_link, outcome):
    assert judge(method, path, status, of_link) == outcome


def test_each_extension_stands_once_and_is_an_asset():
    extensions = " ".join(ASSETS.values()).split()
    assert len(extensions) == len(set(extensions))
    assert all(is_asset(f"/dir.d/name.{extension}") for extension in extensions)


@pytest.mark.parametrize("path", ["/", "", "/.css", "/css", "/a.css/", "/a.css/b", "/john.doe"])
def test_what_only_looks_like_one_is_none(path):
    assert not is_asset(path)


def test_what_is_remembered_of_lines_is_bounded():
    """A line has 64 KiB at most, and whoever imports writes the patterns of pages."""
    rules._judge.cache_clear()
    requests._known_host.cache_clear()
    patterns = Pages.of(["/wiki/*.js"])
    for number in range(100):
        assert judge("GET", f"/{number}/{'a' * 60_000}", 200, of_link=False) == "page_view"
        assert judge("GET" * 20_000, f"/{number}", 200, of_link=False) == Reason.METHOD
        assert judge("GET", f"/wiki/{number}.js", 200, of_link=False, pages=patterns) == "page_view"
        line = f'1.1.1.1 - - [20/May/2026:10:00:00 +0000] "GET http://{"h" * 60_000}{number}/ HTTP/1.1" 200 5'
        assert requests.read([line]).hits[0].host == ""
    assert rules._judge.cache_info().currsize == requests._known_host.cache_info().currsize == 0


def test_a_pattern_of_pages_is_short():
    with pytest.raises(Invalid, match="500 characters"):
        Pages.of(["/*" + "[!b]" * 5000 + "b*x"])
