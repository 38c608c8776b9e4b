"""Whatever the text, enrichment answers, and with what every column can hold."""

from hypothesis import example, given
from hypothesis import strategies as st

from footfall.enrich.bots import classify
from footfall.enrich.page import parse_page
from footfall.enrich.pipeline import Pipeline, check_lists
from footfall.enrich.referrer import host_of, parse_referrer
from footfall.enrich.user_agent import parse_user_agent
from footfall.enrich.visitor import client_session, client_visitor, device_hash, session_id

check_lists()  # reading them takes longer than an example may

LIMIT = 1024
CHANNELS = {"search", "social", "ai", "email", "internal", "direct", "other"}

# Any code points, lone surrogates too, and what URLs and user agents are made of.
words = st.sampled_from(
    ["https://", "//", "/", "?", "#", "&", "=", "%", "%ff", "%2F", "%00", "utm_source", "utm_", "www.",
     "google.com", "[", "]", ":", "@", "\\", "mail.", "Mozilla/5.0 (", "Android 10; K)", "Chrome/1.", "|",
     '"', "?1", "bot", "\0", "\ud800", "İ", "\u202e", " ", "9" * 400]
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=())) | st.lists(
    words | st.text(max_size=8), max_size=12
).map("".join)
utms = st.none() | st.tuples(texts, texts, texts, texts, texts)


def storable(value):
    return isinstance(value, bool) or (len(value) <= LIMIT and value.encode("utf-8").decode() == value)


@given(texts, texts)
def test_user_agents(user_agent, hints):
    device = parse_user_agent(user_agent, hints)
    assert all(map(storable, device))
    assert device.device_type in {"desktop", "mobile", "tablet", "tv", "other", ""}


@given(texts)
def test_bots(user_agent):
    bot = classify(user_agent)
    assert all(map(storable, bot))
    assert bool(bot.bot_category) == bot.is_bot


@given(texts, utms)
@example("https://e.com/%ed%a0%80?utm_source=%ed%a0%80", None)
def test_pages(url, utm):
    assert all(map(storable, parse_page(url, utm)))


@given(texts, texts, texts, texts)
def test_referrers(referrer, page_url, source, medium):
    found = parse_referrer(referrer, page_url, source, medium)
    assert all(map(storable, found))
    assert found.channel in CHANNELS


@given(texts)
def test_a_host_is_its_own_host(url):
    host = host_of(url)
    assert host_of("https://" + host + "/") == host
    assert not set(host) & set("/?#@ ")


@given(
    st.binary(min_size=16, max_size=64), texts, texts, texts, st.integers(0, 2**64 - 1), st.integers(0, 2**53)
)
def test_hashes(key, workspace, ip, user_agent, visitor, started):
    for value in (
        device_hash(key, workspace, ip, user_agent),
        client_visitor(key, user_agent),
        client_session(key, user_agent),
        session_id(visitor, started),
    ):
        assert 0 < value < 2**64


@given(st.lists(st.tuples(texts, texts, texts, texts, utms), max_size=20), st.integers(1, 5))
def test_a_batch_gives_what_its_rows_give(rows, remember):
    names = ("user_agent", "client_hints", "page_url", "referrer", "utm")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    columns |= {"told": [None] * len(rows), "own_referrer": [False] * len(rows)}
    Pipeline(remember=remember).run(columns)
    for place, (user_agent, hints, page_url, referrer, utm) in enumerate(rows):
        page = parse_page(page_url, utm)
        source = parse_referrer(referrer, page_url, page.utm_source, page.utm_medium)
        for expected in (parse_user_agent(user_agent, hints), classify(user_agent), page, source):
            assert {name: columns[name][place] for name in expected._fields} == expected._asdict()
