"""Whose conversion it is: the facts of visits, from the worker to the answer."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall.model.entry import ENTRY_OF
from tests.console import open_console
from tests.visiting import TIMEOUT, Visiting, did

GOOGLE = "https://www.google.com/"
GO = "https://go.example/x"
XMAS = "/?utm_campaign=xmas"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def visiting(console):
    return Visiting(console, f"visiting {next(_numbers)}")


def buy(visitor, minute, **fields):
    inside = fields.pop("referrer", "https://shop.example/cart")
    return did(visitor, minute, "conversion", "/thanks", inside, properties='{"name":"order"}', **fields)


def test_a_conversion_belongs_to_what_its_visit_began_with(visiting):
    """Ten came by a campaign from a search engine, four bought on a page that the site itself led to."""
    for visitor in range(1, 11):
        visiting.batch(did(visitor, 0, "page_view", XMAS, GOOGLE))
        if visitor <= 4:
            visiting.batch(did(visitor, 5, "page_view", "/cart", "https://shop.example/"), buy(visitor, 9))
    assert visiting.ask("conversion_rate", "channel", "utm_campaign") == {("search", "xmas"): 0.4}
    assert visiting.ask("conversions", "referrer_host") == {"google.com": 4}
    assert visiting.ask("conversions", "entry_page", filters=[["is", "event_type", ["conversion"]]]) == {
        "/": 4
    }
    assert visiting.ask("conversions", "event_channel", filters=[["is", "event_type", ["conversion"]]]) == {
        "internal": 4
    }
    assert visiting.ask("conversions", filters=[["is", "channel", ["search"]]]) == 4
    assert visiting.ask("conversions", filters=[["is", "event_channel", ["search"]]]) == 0
    shown = visiting.console.get(
        "/api/v1/analytics/channels",
        visiting.key,
        {"start_date": visiting.day, "end_date": visiting.day, "channel": "search"},
    ).json()
    assert [(row["channel"], row["visitors"]) for row in shown["data"]] == [("search", 10)]


def test_a_restart_in_the_middle_changes_nothing(visiting):
    visiting.batch(
        did(1, 0, "page_view", XMAS, GOOGLE), did(1, 1, "page_view", "/b", "https://shop.example/")
    )
    visiting.restart()
    visiting.batch(buy(1, 20), buy(1, 55))  # the second is a visit of its own
    assert visiting.ask("conversions", "channel", "entry_page") == {("search", "/"): 1, ("internal", ""): 1}


def test_another_site_has_its_own(visiting):
    visiting.batch(
        did(1, 0, "page_view", "/", GOOGLE),
        did(1, 5, "page_view", "/b", "https://shop.example/", site="blog"),
        did(1, 6, "page_view", "/c", "https://blog.example/b", site="blog"),
        buy(1, 9),
    )
    visiting.restart()
    visiting.batch(buy(1, 10, site="blog"), buy(1, 11))
    channels = visiting.ask(
        "conversions", "site_id", "referrer_host", filters=[["is", "event_type", ["conversion"]]]
    )
    assert channels == {("shop", "google.com"): 2, ("blog", "shop.example"): 1}
    for site, (entry, leave) in {"shop": ("/", "/"), "blog": ("/b", "/c")}.items():
        rows = visiting.ask("sessions", "entry_page", "exit_page", site_id=site)
        assert rows == {(entry, leave): 1}


def test_a_question_about_one_site_is_made_of_its_events_only(visiting):
    visiting.batch(
        did(1, 0, "page_view", "/", site="blog"), did(1, 2, "page_view", "/a"),
        did(1, 9, "page_view", "/z", site="blog"), did(2, 0, "page_view", "/a"), buy(2, 4, site="blog"),
    )  # fmt: skip
    figures = ["sessions", "bounce_rate", "views_per_session", "session_duration"]
    assert visiting.ask(figures, site_id="shop") == (2, 1.0, 1.0, 0.0)
    assert visiting.ask(figures, "site_id")["shop"] == (2, 1.0, 1.0, 0.0)
    assert visiting.ask(["sessions", "bounce_rate"]) == (2, 0.0)
    bought = [["has_done", ["is", "event_type", ["conversion"]]]]
    assert visiting.ask("visitors", site_id="shop", filters=bought) == 0
    assert visiting.ask("visitors", filters=bought) == 1
    in_filter = [["is", "site_id", ["shop"]], *bought]
    assert visiting.ask("visitors", filters=in_filter) == 0


@pytest.mark.parametrize("site", ["", "shop"])
@pytest.mark.parametrize("again", [False, True])
def test_a_click_on_a_short_link_opens_the_visit_that_it_leads_to(visiting, site, again):
    click = did(
        1, 0, "click", "https://go.example/x", "https://t.co/1", site=site, link_id="link_1", short_code="x",
        destination_url="https://shop.example/sale?utm_campaign=x", utm=("tw", "", "x", "", ""), country="FR",
    )  # fmt: skip
    visiting.batch(click)
    if again:
        visiting.restart()
    # With an id of its own the page's visitor is another one, but the device is the same.
    visiting.batch(did(9, 1, "page_view", "/sale", device=1), buy(9, 3, device=1))
    visiting.batch(did(2, 0, "page_view", "/sale"))
    rows = visiting.ask(
        ["visitors", "conversions"], "entry_page", "referrer_host", "channel", "utm_campaign", site_id="shop"
    )
    rows.pop(("", "t.co", "social", "x"), None)  # the click's own
    assert rows == {("/sale", "t.co", "social", "x"): (1, 1), ("/sale", "", "direct", ""): (1, 0)}
    assert visiting.ask(
        "conversions", "entry_country_code", filters=[["is", "event_type", ["conversion"]]]
    ) == {"FR": 1}
    clicks = [["is", "event_type", ["click"]]]
    assert visiting.ask("clicks", "referrer_host", "event_referrer_host", filters=clicks) == {
        ("t.co", "t.co"): 1
    }


def test_a_click_elsewhere_or_long_ago_opens_nothing(visiting):
    away = {"site": "", "link_id": "link_1", "short_code": "x", "destination_url": "https://other.example/"}
    here = away | {"destination_url": "https://www.shop.example/"}
    visiting.batch(
        did(1, 0, "click", GO, "https://t.co/1", **away), did(1, 2, "page_view", "/", GOOGLE),
        did(2, 0, "click", GO, "https://t.co/1", **here), did(2, 31, "page_view", "/", GOOGLE),
        did(3, 0, "click", GO, "https://t.co/1", **here), did(3, 30, "page_view", "/", GOOGLE),
        did(4, 0, "click", GO, "https://t.co/1", **here | {"site": "blog"}),
        did(4, 1, "page_view", "/", GOOGLE),
    )  # fmt: skip
    views = [["is", "event_type", ["page_view"]]]
    assert visiting.ask("visitors", "channel", filters=views) == {"search": 3, "social": 1}


def test_the_last_click_before_the_visit_counts_and_one_within_changes_nothing(visiting):
    def click(minute, host):
        return did(1, minute, "click", "https://go.example/x", host, site="", link_id="l", short_code="x")

    visiting.batch(click(0, "https://t.co/"), click(1, "https://bing.com/"))
    visiting.batch(did(1, 2), click(3, GOOGLE), did(1, 4, page="/b"), buy(1, 5))
    assert visiting.ask("conversions", "referrer_host", site_id="shop") == {"bing.com": 1}
    clicks = [["is", "event_type", ["click"]]]
    assert visiting.ask("clicks", "referrer_host", filters=clicks) == {
        "t.co": 1,
        "bing.com": 1,
        "google.com": 1,
    }


def test_what_comes_before_the_first_page_view_shares_its_source(visiting):
    visiting.batch(
        did(1, 0, "signup", "", GOOGLE), did(1, 1, "page_view", "/a", "https://shop.example/"), buy(1, 2)
    )
    assert visiting.ask(["events", "sessions"], "channel", "entry_page") == {("search", "/a"): (3, 1)}


def test_an_engagement_opens_nothing_and_ends_no_bounce(visiting):
    visiting.batch(did(1, 0, "page_view", "/a", GOOGLE), did(1, 1, "engagement", "/a", GOOGLE))
    visiting.batch(
        did(2, 0, "engagement", "/a", "https://shop.example/"), did(2, 1, "page_view", "/b", GOOGLE)
    )
    assert visiting.ask(["sessions", "bounce_rate"], site_id="shop") == (2, 1.0)
    views = [["is", "event_type", ["page_view"]]]
    assert visiting.ask("visitors", "channel", filters=views) == {"search": 2}


def test_sessions_of_the_clients_own_in_turns_keep_their_own(visiting):
    visiting.batch(
        did(1, 0, "page_view", "/a", GOOGLE, session_id=11),
        did(1, 1, "page_view", "/b", "https://t.co/", session_id=12),
        buy(1, 2, session_id=11), buy(1, 3, session_id=12), buy(1, 4, session_id=11),
    )  # fmt: skip
    rows = visiting.ask("conversions", "channel", "entry_page")
    assert rows == {("search", "/a"): 2, ("social", "/b"): 1}


def test_lists_of_events_are_filtered_by_what_they_show(visiting):
    visiting.batch(
        did(1, 0, "page_view", "/a", GOOGLE), did(1, 1, "page_view", "/b", "https://shop.example/a")
    )
    params = {"start_date": visiting.day, "end_date": visiting.day, "channel": "internal"}
    found = visiting.console.get("/api/v1/export/events", visiting.key, params | {"format": "ndjson"})
    assert found.status_code == 200, found.text
    assert len(found.text.splitlines()) == 1
    assert '"entry_channel":"search"' in found.text


def test_rows_of_before_say_what_they_say_of_themselves_and_the_answer_says_so(console, visiting):
    """A store of before this version: its rows have no facts of visits."""
    names = ", ".join(f"DROP COLUMN {name}" for name in reversed(list(ENTRY_OF)))
    build = console.store.build

    async def older():
        await build(f"ALTER TABLE events {names}", {})
        await build(
            "ALTER TABLE schema_migrations DELETE WHERE name = '0005_entry' SETTINGS mutations_sync = 1", {}
        )
        await build(
            "ALTER TABLE schema_migrations UPDATE applied_at = '2025-01-01 00:00:00' WHERE 1"
            " SETTINGS mutations_sync = 1",
            {},
        )

    visiting.batch(
        did(1, 0, "page_view", "/a", GOOGLE), did(1, 1, "page_view", "/b", "https://shop.example/a")
    )
    console.run(older())
    console.run(console.store.migrate())
    fresh = console.with_store(console.store)
    visiting.console = fresh
    # What is live goes on as it began, as far as that is known.
    visiting.restart()
    visiting.batch(buy(1, 5))
    answer = visiting.answer("events", "channel")
    assert {row["dimensions"][0]: row["metrics"][0] for row in answer["results"]} == {
        "search": 2,
        "internal": 1,
    }
    assert any("each counts with its own source" in said for said in answer["meta"]["warnings"])
    assert visiting.ask("sessions", "entry_page") == {"/a": 1}
    assert visiting.answer("events", "country_code")["meta"]["warnings"] == []


# --- Against plain Python, however it is batched, with restarts in between

hosts = st.sampled_from(["", GOOGLE, "https://t.co/", "https://shop.example/"])
steps = st.lists(
    st.tuples(
        st.integers(1, 2),  # visitor
        st.sampled_from([0.5, 10, TIMEOUT / 60, TIMEOUT / 60 + 1]),  # minutes since the event before
        st.sampled_from(["page_view", "page_view", "click", "signup", "engagement"]),
        st.sampled_from(["/a", "/b?utm_campaign=c"]),
        hosts,
        st.sampled_from(["", "shop", "blog"]),
    ),
    min_size=1,
    max_size=14,
)


def expected(events):
    """Channel, campaign and page of each event's visit, by reading the definition aloud."""
    source, page, last, clicked, found = {}, {}, {}, {}, []
    visit = 0
    for visitor, at, kind, path, host, site in events:
        if visitor not in last or at - last[visitor][0] > TIMEOUT / 60:
            visit += 1
            last[visitor] = (at, visit)
        last[visitor] = (at, last[visitor][1])
        own = (host.split("/")[2].removeprefix("www.") if host else "", "c" if "utm" in path else "")
        which = (visitor, last[visitor][1], site)
        if kind == "click":
            clicked[visitor] = (at, site, own)
            found.append((*own, ""))
            continue
        if which not in source:
            if kind == "engagement":
                found.append((*own, ""))
                continue
            click = clicked.get(visitor)
            opened = (
                click and at - click[0] <= TIMEOUT / 60 and (not click[1] or not site or click[1] == site)
            )
            source[which] = click[2] if opened else own
        if kind == "page_view":
            page.setdefault(which, path.partition("?")[0])
        found.append((*source[which], page.get(which, "")))
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.lists(st.integers(0, 14), max_size=3), st.booleans())
def test_facts_are_those_of_the_definition_however_events_are_batched(console, made, cuts, restarts):
    visiting = Visiting(console, f"visiting {next(_numbers)}")
    base = next(_numbers) * 1000  # restarts know visitors of all workspaces
    at, events = 0, []
    for visitor, gap, kind, path, host, site in made:
        at += gap
        events.append((base + visitor, at, kind, path, host, site))
    link = {"link_id": "l", "short_code": "x"}
    raw = [
        did(visitor, at, kind, path, host, site=site, **(link if kind == "click" else {}))
        for visitor, at, kind, path, host, site in events
    ]  # fmt: skip
    bounds = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for start, end in itertools.pairwise(bounds):
        if start < end:
            visiting.batch(*raw[start:end])
            if restarts:
                visiting.restart()
    rows = console.run(
        console.store.query(
            "SELECT entry_referrer_host, entry_utm_campaign, entry_page FROM events"
            " WHERE workspace_id = {w:String} ORDER BY seq",
            {"w": visiting.workspace},
        )
    )
    assert [tuple(row) for row in rows] == expected(events)


# --- Rates, shares, and what engagement says


def test_a_rate_is_of_all_visitors_without_the_goal(visiting):
    for visitor, host in enumerate([GOOGLE, GOOGLE, GOOGLE, "https://t.co/", "https://t.co/"], 1):
        visiting.batch(did(visitor, 0, "page_view", "/", host))
    visiting.batch(
        did(1, 1, "signup", properties='{"plan":"pro"}'), did(4, 1, "signup", properties='{"plan":"a"}')
    )
    rates = ["visitors", "conversion_rate", "group_conversion_rate"]
    signups = [["is", "event_type", ["signup"]]]
    assert visiting.ask(rates, "channel", filters=signups) == {
        "search": (1, 1 / 5, 1 / 3), "social": (1, 1 / 5, 1 / 2)
    }  # fmt: skip
    assert visiting.ask(rates, filters=signups) == (2, 2 / 5, 2 / 5)
    pro = [*signups, ["is", "property:plan", ["pro"]]]
    assert visiting.ask(rates, filters=pro) == (1, 1 / 5, 1 / 5)
    assert visiting.ask(rates, filters=[*pro, ["is", "channel", ["search"]]]) == (1, 1 / 3, 1 / 3)
    assert visiting.ask("conversion_rate", "event_type") == {"page_view": 1, "signup": 2 / 5}
    assert visiting.ask(["visitors", "share"], "channel", "event_type") == {
        ("search", "page_view"): (3, 1), ("social", "page_view"): (2, 1),
        ("search", "signup"): (1, 1 / 3), ("social", "signup"): (1, 1 / 2),
    }  # fmt: skip


def test_engagement_is_no_event_and_says_how_long_and_how_deep(visiting):
    def engaged(visitor, minute, seconds, depth, page="/a"):
        said = f'{{"engagement_time":{seconds * 1000},"scroll_depth":{depth}}}'
        return did(visitor, minute, "engagement", page, properties=said)

    visiting.batch(
        did(1, 0, page="/a"), engaged(1, 1, 30, 40), engaged(1, 2, 10, 80),
        did(2, 0, page="/a"), engaged(2, 1, 20, 20),
        did(3, 0, page="/b"),
    )  # fmt: skip
    figures = ["events", "pageviews", "time_on_page", "scroll_depth", "bounce_rate"]
    assert visiting.ask(figures, "page_path") == {"/a": (2, 2, 30, 50, 1), "/b": (1, 1, None, None, 1)}


def test_average_revenue_is_by_currency(visiting):
    for visitor, (value, currency) in enumerate([(1000, "EUR"), (501, "EUR"), (300, "USD")], 1):
        said = f'{{"name":"order","value_minor":{value},"currency":"{currency}"}}'
        visiting.batch(did(visitor, 0, "conversion", properties=said))
    assert visiting.ask("average_revenue") == {"EUR": 750, "USD": 300}


def test_events_of_one_request_at_one_time_are_in_the_order_of_its_list(visiting):
    pages = [f"/{number}" for number in range(40)]
    visiting.request(*(did(1, 0, "page_view", page) for page in pages))
    visiting.request(
        did(2, 0, "signup", ""),
        did(2, 0, "page_view", "/a", GOOGLE),
        did(2, 0, "page_view", "/b", "https://t.co/x"),
        did(3, 0, "page_view", "/b", "https://t.co/x"),
        did(3, 0, "page_view", "/a", GOOGLE),
    )
    visiting.restart()
    visiting.request(did(2, 0, "page_view", "/c"), did(3, 0, "page_view", "/d"), did(3, 0, "page_view", "/c"))
    by = ("entry_page", "exit_page")
    assert visiting.ask("sessions", *by) == {("/0", "/39"): 1, ("/a", "/c"): 1, ("/b", "/c"): 1}
    assert visiting.ask("visitors", "channel", filters=[["is", "page_path", ["/c"]]]) == {
        "direct": 1,
        "social": 1,
    }
