"""Where people come from, as campaigns, portals and advertisers write it."""

import time

import pytest

from footfall.enrich.page import parse_page
from footfall.enrich.referrer import name_source, parse_referrer
from tests.contract.wild.world import FIREFOX
from tests.e2e.serving import until

PAGE = "https://www.shop.example/landing"


def source(world, referrer="", query="", **fields):
    """Host, channel and utm_source of an event with a page of this query."""
    url = f"{PAGE}?{query}" if query else PAGE
    return world.stored(
        world.event(page_url=url, referrer=referrer, **fields), "referrer_host", "channel", "utm_source"
    )


NAMES = {
    "social": (
        "ig,IG,instagram,fb,Facebook,facebook_ads,linkedin,li,twitter,tw,x,tiktok,yt,youtube,reddit,"
        "pinterest,bluesky,bsky.app,mastodon,telegram,t.me,whatsapp,wa,discord,threads,snapchat,"
        "hackernews,hn,weibo,vk,lnkd.in,l.facebook.com"
    ),
    "ai": (
        "perplexity,perplexity.ai,claude,claude.ai,gemini,copilot,copilot.com,chatgpt,chatgpt.com,"
        "openai,deepseek,grok,mistral,gemini.google.com,Meta AI"
    ),
    "email": (
        "mailchimp,newsletter,newsletter-2026-11,weekly_newsletter,email,sendgrid,klaviyo,hubspot,"
        "substack,hs_email,Brevo,mail,Campaign Monitor,gmail,customer.io"
    ),
    "search": (
        "adwords,google-ads,google_ads,googleads,google,Google,bing,bing-ads,microsoft ads,yahoo,"
        "duckduckgo,ddg,yandex,baidu,ecosia,naver"
    ),
    "other": ("partner-site,spring,qr,app,example.org"),
}


@pytest.mark.parametrize(
    ("name", "channel"), [(name, channel) for channel, names in NAMES.items() for name in names.split(",")]
)
def test_names_of_sources(name, channel):
    assert parse_referrer("", PAGE, name, "").channel == channel


@pytest.mark.parametrize("name", ["ig", "perplexity", "mailchimp", "adwords"])
def test_names_of_sources_in_the_answer(world, name):
    channels = {"ig": "social", "perplexity": "ai", "mailchimp": "email", "adwords": "search"}
    assert source(world, query=f"utm_source={name}") == ("", channels[name], name)


@pytest.mark.parametrize(
    ("referrer", "channel"),
    [
        ("https://blog.naver.com/x", "social"),
        ("https://m.blog.naver.com/x", "social"),
        ("https://blogs.bing.com/x", "other"),
        ("https://help.kagi.com/x", "other"),
        ("https://cn.bing.com/search?q=x", "search"),
        ("https://cafe.naver.com/x", "social"),
        ("https://news.naver.com/x", "other"),
        ("https://shopping.naver.com/x", "other"),
        ("https://mail.naver.com/x", "email"),
        ("https://search.naver.com/", "search"),
        ("https://m.search.naver.com/", "search"),
        ("https://www.naver.com/", "search"),
        ("https://m.naver.com/", "search"),
        ("https://cafe.daum.net/x", "social"),
        ("https://search.daum.net/", "search"),
        ("https://www.daum.net/", "search"),
        ("https://v.daum.net/x", "other"),
        ("https://tieba.baidu.com/p/1", "social"),
        ("https://pan.baidu.com/s/1", "other"),
        ("https://www.baidu.com/s", "search"),
        ("https://m.baidu.com/s", "search"),
        ("https://disk.yandex.ru/d/1", "other"),
        ("https://mail.yandex.ru/", "email"),
        ("https://yandex.com.tr/search", "search"),
        ("https://mail.aol.com/", "email"),
        ("https://search.aol.com/", "search"),
        ("https://email.seznam.cz/", "email"),
        ("https://search.seznam.cz/", "search"),
        ("https://chiebukuro.yahoo.co.jp/", "other"),
        ("https://sites.google.com/x", "other"),
        ("https://duckduckgo.com/", "search"),
        ("https://cn.bing.com/", "search"),
        # Redirectors of networks and of mail.
        ("https://l.facebook.com/l.php", "social"),
        ("https://lm.facebook.com/", "social"),
        ("https://l.instagram.com/", "social"),
        ("https://l.threads.com/", "social"),
        ("https://t.co/x", "social"),
        ("https://out.reddit.com/", "social"),
        ("https://away.vk.com/", "social"),
        ("https://lnkd.in/x", "social"),
        ("https://link.zhihu.com/", "social"),
        ("https://t.umblr.com/redirect", "social"),
        ("https://nam02.safelinks.protection.outlook.com/", "email"),
        ("https://urldefense.com/v3/", "email"),
        ("https://u123.ct.sendgrid.net/", "email"),
        ("https://example.us2.list-manage.com/", "email"),
        ("https://www.googleadservices.com/pagead", "paid_search"),
        ("https://ad.doubleclick.net/", "paid_search"),
        ("https://googleads.g.doubleclick.net/", "display"),
    ],
)
def test_hosts_of_portals_and_redirectors(referrer, channel):
    assert parse_referrer(referrer, PAGE, "", "").channel == channel


@pytest.mark.parametrize(
    ("referrer", "query", "channel"),
    [
        ("", "utm_source=google&utm_medium=cpc", "paid_search"),
        ("", "utm_source=adwords&utm_medium=PPC", "paid_search"),
        ("", "utm_source=ig&utm_medium=paid", "paid_social"),
        ("", "utm_source=facebook&utm_medium=paid_social", "paid_social"),
        ("", "utm_source=linkedin&utm_medium=ads", "paid_social"),
        ("", "utm_source=someone&utm_medium=cpc", "paid"),
        ("https://www.google.com/", "utm_medium=cpc", "paid_search"),
        ("", "utm_source=x&utm_medium=display", "display"),
        ("", "utm_source=x&utm_medium=affiliate", "affiliate"),
        ("https://www.google.com/", "gclid=CjwKCAiA", "paid_search"),
        ("", "gclid=CjwKCAiA", "paid_search"),
        ("", "gbraid=0AAAAA", "paid_search"),
        ("", "GCLID=x", "paid_search"),
        ("https://www.bing.com/", "msclkid=abc", "paid_search"),
        ("", "ttclid=E.C.P", "paid_social"),
        ("", "twclid=2-1", "paid_social"),
        ("", "li_fat_id=x", "paid_social"),
        ("", "fbclid=IwAR0", "social"),
        ("https://www.shop.example/", "fbclid=IwAR0", "internal"),
        ("", "igshid=x", "social"),
        ("", "mc_cid=1&mc_eid=2", "email"),
        ("", "dclid=1", "display"),
        ("https://www.google.com/", "gclid=", "search"),
        ("https://www.google.com/", "x=gclid", "search"),
        ("", "utm_source=newsletter&utm_medium=email&gclid=1", "email"),
        ("", "q=1#gclid=1", "direct"),
    ],
)
def test_what_was_paid_for(referrer, query, channel):
    url = f"{PAGE}?{query}"
    page = parse_page(url, None)
    assert parse_referrer(referrer, url, page.utm_source, page.utm_medium).channel == channel


def test_what_was_paid_for_in_the_answer(world):
    assert source(world, "https://www.google.com/", "gclid=secret-1") == ("google.com", "paid_search", "")
    rows = world.ask(["events"], ["event_channel"], [["is", "event_channel", ["paid_search"]]])
    assert rows[0][0] == "paid_search"


@pytest.mark.parametrize(
    ("query", "referrer", "named"),
    [
        ("ref=producthunt", "", "producthunt"),
        ("source=ig", "", "ig"),
        ("ref=aa&source=bb", "", "bb"),
        ("source=bb&ref=aa", "", "bb"),
        ("ref=https%3A%2F%2Fwww.example.org%2Fx", "", "example.org"),
        ("utm_source=x&ref=y", "", "x"),
        ("ref=sidebar", "https://www.shop.example/", ""),
        ("ref=", "", ""),
        ("ref=%7B%22a%22%3A1%7D", "", ""),
        ("ref=" + "a" * 100, "", ""),
        ("href=x&reference=y&resource=z", "", ""),
        ("ref=hn", "https://other.example/", "hn"),
    ],
)
def test_sources_by_other_names(query, referrer, named):
    url = f"{PAGE}?{query}"
    assert name_source(parse_page(url, None).utm_source, url, referrer) == named


def test_sources_by_other_names_in_the_answer(world):
    assert source(world, query="ref=hn") == ("", "social", "hn")
    assert source(world, "https://www.shop.example/", "ref=nav") == ("shop.example", "internal", "")


@pytest.fixture(scope="module")
def shop(world):
    """A site with two domains, and another one below the first."""
    made = [
        world.console.post("/api/v1/sites", json={"name": name, "origins": origins}).json()["id"]
        for name, origins in (
            ("A shop", ["shop.test", "*.shop.test", "brand.test"]),
            ("A forum", ["forum.shop.test"]),
        )
    ]
    # The door hears of them within a second.
    until(lambda: channel_of(world, made[0], "https://www.brand.test/") == "internal")
    return made[0]


def channel_of(world, site, referrer):
    name = world.event(site_id=site, page_url="https://www.shop.test/", referrer=referrer)
    return world.stored(name, "channel")[0]


@pytest.mark.parametrize(
    ("referrer", "channel"),
    [
        ("https://www.shop.test/x", "internal"),
        ("https://pay.shop.test/x", "internal"),
        ("https://SHOP.test", "internal"),
        ("https://brand.test/", "internal"),
        ("https://de.brand.test/", "internal"),
        ("https://forum.shop.test/", "other"),
        ("https://notshop.test/", "other"),
        ("https://shop.test.evil.example/", "other"),
        ("https://www.google.com/", "search"),
    ],
)
def test_own_domains_are_internal(world, shop, referrer, channel):
    assert channel_of(world, shop, referrer) == channel


def test_own_domains_are_internal_in_logs_too(world, shop):
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(time.time() - 7200))
    line = f'8.8.8.8 - - [{at}] "GET /own-log HTTP/1.1" 200 571 "https://pay.shop.test/" "{FIREFOX}"'
    body = {"site_id": shop, "lines": [line], "occurrences": [1], "origin": "https://www.shop.test"}
    assert world.console.post("/api/v1/imports/access-log", json=body).json()["added"] == {"page_view": 1}
    until(
        lambda: (
            world.ask(["events"], ["event_channel"], [["is", "page_path", ["/own-log"]]]) == [("internal", 1)]
        )
    )
