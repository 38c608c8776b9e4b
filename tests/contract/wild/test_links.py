"""Links as people type and mail them."""

import pytest

from tests.e2e.serving import until

TARGET = "https://example.com/welcome"


@pytest.mark.parametrize("tail", ["", "/", "//", "/?utm_content=qr", "/?", "///?x=%2F"])
def test_a_slash_behind_a_code_is_a_click_of_the_link(world, tail):
    code = f"slash{len(tail)}{tail.count('/')}"
    world.link(url=TARGET, code=code)
    answer = world.visit(f"/{code}{tail}")
    assert (answer.status_code, answer.headers["location"]) == (302, TARGET)
    assert world.clicks_of(code, "destination_url") == (TARGET,)


@pytest.mark.parametrize("path", ["/nowhere/", "/nowhere2//", "/nowhere3/?x=1"])
def test_an_unknown_code_with_a_slash_is_a_page_and_an_orphan_click(world, path):
    answer = world.visit(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    code = path.split("?")[0].strip("/")
    assert world.clicks_of(code, "event_type", kind="orphan_click") == ("orphan_click",)


@pytest.mark.parametrize(
    "path", ["/a/b", "/v1/", "/api/", "/health/", "/metrics/", "/robots.txt/", "/v1/events/"]
)
def test_what_is_no_code_stays_none(world, path):
    answer = world.visit(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "host",
    [
        "go.example.com",
        "go.example.com:443",
        "go.example.com:80",
        "go.example.com:8443",
        "GO.Example.com:443",
        "go.example.com.",
        "go.example.com.:443",
        "go.example.com:",
    ],
)
def test_a_host_with_a_port_names_the_short_domain(world, host):
    if not world.console.get("/api/v1/links", params={"domain": "go.example.com"}).json()["data"]:
        world.link(url="https://example.org/x", code="dom", domain="go.example.com")
    until(lambda: world.visit("/dom", Host="go.example.com").status_code == 302)  # each door hears of it
    answer = world.visit("/dom", Host=host)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.org/x")


UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "channel")
SALE = "https://example.com/sale?utm_source=newsletter&utm_medium=email&utm_campaign=spring"


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", ("newsletter", "email", "spring", "", "", "email")),
        ("utm_content=qr", ("newsletter", "email", "spring", "qr", "", "email")),
        ("utm_source=", ("newsletter", "email", "spring", "", "", "email")),
        ("utm_source=&utm_term=x+y", ("newsletter", "email", "spring", "", "x y", "email")),
        ("utm_campaign=autumn", ("newsletter", "email", "autumn", "", "", "email")),
        ("utm_source=ig&utm_medium=social", ("ig", "social", "spring", "", "", "social")),
        ("a=1&amp;utm_content=mail", ("newsletter", "email", "spring", "mail", "", "email")),
        ("utm_content=%20", ("newsletter", "email", "spring", "", "", "email")),
        ("x=utm_source", ("newsletter", "email", "spring", "", "", "email")),
    ],
)
def test_a_campaign_is_made_parameter_by_parameter(world, query, values):
    code = f"utm{abs(hash(query))}"
    world.link(url=SALE, code=code)
    world.visit(f"/{code}?{query}" if query else f"/{code}")
    assert world.clicks_of(code, *UTM) == values


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://i\u2764.ws/", "https://xn--i-7iq.ws/"),
        ("https://i\u2764\ufe0f.ws/", "https://xn--i-7iq.ws/"),
        ("https://\u2603.net/", "https://xn--n3h.net/"),
        ("https://\U0001f4aa.to/x", "https://xn--ms8h.to/x"),
        ("https://www.\U0001f609.com:8443/a?b=\u00fc", "https://www.xn--n28h.com:8443/a?b=%C3%BC"),
        ("https://M\u00dcNCHEN.example/", "https://xn--mnchen-3ya.example/"),
        ("https://fa\u00df.de", "https://xn--fa-hia.de"),
        ("https://\uff45xample\u3002com/", "https://example.com/"),
        ("https://\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "https://xn--mgba3gch31f060k.com"),
    ],
)
def test_hosts_that_browsers_take_are_taken(world, url, location):
    assert world.link(url=url)["url"] == location


@pytest.mark.parametrize(
    "url",
    [
        "https://a..b/",
        "https://ex ample.com/",
        "https://\u2488com/",
        "https://\u202eabc.com/",
        "https://\u0301a.com/",
        "https://\u2100.com/",
        "https://a\u200db.com/",
        "https://\u05d01a.com/",
    ],
)
def test_hosts_that_no_browser_takes_are_refused(world, url):
    answer = world.console.post("/api/v1/links", json={"url": url})
    assert (answer.status_code, answer.json()["field"]) == (400, "url")


@pytest.mark.parametrize(
    ("title", "searches"),
    [
        ("\u00dcber uns", ["\u00dcber", "\u00fcber", "\u00dcBER", "BER u", "U\u0308ber"]),
        ("\u0414\u043e\u043c", ["\u0434\u043e\u043c", "\u0414\u043e\u043c", "\u0414\u041e\u041c"]),
        ("Stra\u00dfe", ["stra\u00dfe", "STRA\u1e9eE"]),
        ("\u0130stanbul", ["\u0130stanbul", "stanbul"]),
        (
            "\u039f\u0394\u039f\u03a3 100%_",
            ["\u03bf\u03b4\u03bf\u03c2", "\u03bf\u03b4\u03cc\u03c2"[:2], "100%_"],
        ),
        ("\u6771\u4eac", ["\u6771\u4eac", "\u4eac"]),
        ("caf\u00e9", ["CAF\u00c9", "cafe\u0301"]),
    ],
)
def test_links_are_found_in_any_case_of_any_script(world, title, searches):
    link = world.link(url="https://example.com/", title=title)
    for search in searches:
        found = world.console.get("/api/v1/links", params={"search": search}).json()["data"]
        assert link["id"] in {each["id"] for each in found}, search


def test_what_is_encoded_in_a_url_is_found_as_it_was_written(world):
    link = world.link(url="https://example.com/\u00fcber/\u0414\u043e\u043c")
    for search in ("\u00fcber", "\u0414\u043e\u043c", "/\u00fcber/"):
        found = world.console.get("/api/v1/links", params={"search": search}).json()["data"]
        assert link["id"] in {each["id"] for each in found}, search
    assert not world.console.get("/api/v1/links", params={"search": "\u00fcb%r"}).json()["data"]


@pytest.mark.parametrize(
    ("sent", "campaign"),
    [
        ({}, ("newsletter", "email", "spring", "", "", "email")),
        ({"utm_content": "qr"}, ("newsletter", "email", "spring", "qr", "", "email")),
        ({"utm_source": "poster", "utm_medium": "print"}, ("poster", "print", "spring", "", "", "other")),
        (
            {"page_url": "https://go.example/x?utm_term=shoes"},
            ("newsletter", "email", "spring", "", "shoes", "email"),
        ),
    ],
)
def test_a_click_that_is_sent_has_the_campaign_of_its_target(world, sent, campaign):
    code = f"sent{len(str(sent))}"
    world.link(url=SALE, code=code)
    for number, named in enumerate(
        ({"short_code": code}, {"destination_url": SALE, "short_code": f"{code}x"}), 1
    ):
        answer = world.door.post("/v1/events", json={"events": [{"event_type": "click"} | named | sent]})
        assert answer.json() == {"accepted": 1, "rejected": 0, "results": []}, number
        assert world.clicks_of(named["short_code"], *UTM) == campaign, number
