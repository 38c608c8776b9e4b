"""Path and campaign of a page's URL."""

import pytest

from footfall.enrich.page import NO_UTM, parse_page


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.com/blog/post?id=7#top", "/blog/post"),
        ("https://example.com", "/"),
        ("https://example.com?x=1", "/"),
        ("https://example.com/", "/"),
        ("https://example.com/a/b/", "/a/b/"),
        ("/only/a/path?q", "/only/a/path"),
        ("https://example.com/caf%C3%A9%20menu", "/café menu"),
        ("https://example.com/caf%E9", "/caf%E9"),  # not UTF-8
        ("https://example.com/a%00b", "/a%00b"),  # not printable
        ("https://example.com/" + "a" * 5000, "/" + "a" * 1023),
        ("https://example.com/?u=https://other.example/path", "/"),
        ("about:blank", ""),
        ("", ""),
    ],
)
def test_path(url, path):
    assert parse_page(url, None).page_path == path


def test_campaign_of_the_url():
    page = parse_page(
        "https://example.com/p?utm_source=News+Letter&utm_medium=email&x=utm_term&utm_campaign=sp%C3%A9cial"
        "&utm_term=&utm_content=a&utm_content=b#utm_term=no",
        None,
    )
    assert page == ("/p", "News Letter", "email", "spécial", "", "a")


def test_explicit_values_win_one_by_one():
    url = "https://example.com/?utm_source=url&utm_medium=url"
    assert parse_page(url, ("given", "", "", "", "x"))[1:] == ("given", "url", "", "", "x")
    assert parse_page(url, NO_UTM)[1:] == ("url", "url", "", "", "")


def test_values_are_bounded():
    assert (
        len(parse_page("https://e.com/?utm_source=" + "s" * 9999, ("", "m" * 9999, "", "", "")).utm_source)
        == 200
    )
    assert len(parse_page("", ("", "m" * 9999, "", "", "")).utm_medium) == 200


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.com/#/about", "/#/about"),
        ("https://example.com/app/?v=2#/users/1?tab=x", "/app/#/users/1"),
        ("https://example.com/#!/about", "/#!/about"),
        ("https://example.com#/", "/#/"),
        ("https://example.com/#/caf%C3%A9", "/#/caf\u00e9"),
        ("https://example.com/a#chapter-2", "/a"),
        ("https://example.com/a#:~:text=/x", "/a"),
        ("https://example.com/#/" + "a" * 5000, "/#/" + "a" * 1021),
    ],
)
def test_routes_in_the_fragment_are_part_of_the_path_where_that_is_set(url, path):
    assert parse_page(url, None, hash_routes=True).page_path == path
    assert "#" not in parse_page(url, None).page_path


def test_a_campaign_may_stand_behind_a_route():
    url = "https://example.com/?utm_source=a#/x?utm_source=b&utm_medium=email"
    assert parse_page(url, None, hash_routes=True)[1:3] == ("a", "email")
    assert parse_page(url, None)[1:3] == ("a", "")
