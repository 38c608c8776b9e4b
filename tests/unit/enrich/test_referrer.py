"""Host and channel of a referrer."""

import pytest

from footfall.enrich.referrer import host_of, parse_referrer


@pytest.mark.parametrize(
    ("referrer", "host", "channel"),
    [
        ("", "", "direct"),
        ("https://www.google.com/", "google.com", "search"),
        ("https://www.google.co.uk/search?q=x", "google.co.uk", "search"),
        ("https://www.google.com.br/", "google.com.br", "search"),
        ("https://news.google.com/", "news.google.com", "search"),
        ("https://docs.google.com/document/d/1", "docs.google.com", "other"),
        ("https://google.com.evil.example/", "google.com.evil.example", "other"),
        ("https://notgoogle.com/", "notgoogle.com", "other"),
        ("https://www.bing.com/", "bing.com", "search"),
        ("https://r.search.yahoo.com/_ylt=1", "r.search.yahoo.com", "search"),
        ("https://search.yahoo.co.jp/", "search.yahoo.co.jp", "search"),
        ("http://messages.finance.yahoo.com/", "messages.finance.yahoo.com", "other"),
        ("https://duckduckgo.com/", "duckduckgo.com", "search"),
        ("http://yandex.ru/clck/jsredir", "yandex.ru", "search"),
        ("https://t.co/abc", "t.co", "social"),
        ("http://www.facebook.com/l/7AQ/1.usa.gov", "facebook.com", "social"),
        ("https://l.facebook.com/", "l.facebook.com", "social"),
        ("https://lm.facebook.com/l.php", "lm.facebook.com", "social"),
        ("http://m.facebook.com/l.php", "m.facebook.com", "social"),
        ("https://out.reddit.com/", "out.reddit.com", "social"),
        ("https://www.pinterest.co.uk/", "pinterest.co.uk", "social"),
        ("https://news.ycombinator.com/item?id=1", "news.ycombinator.com", "social"),
        ("https://chatgpt.com/", "chatgpt.com", "ai"),
        ("https://chat.openai.com/", "chat.openai.com", "ai"),
        ("https://claude.ai/chat/1", "claude.ai", "ai"),
        ("https://www.perplexity.ai/", "perplexity.ai", "ai"),
        ("https://gemini.google.com/app", "gemini.google.com", "ai"),
        ("https://copilot.microsoft.com/", "copilot.microsoft.com", "ai"),
        ("https://mail.google.com/mail/u/0/", "mail.google.com", "email"),
        ("http://us.mc1205.mail.yahoo.com/", "us.mc1205.mail.yahoo.com", "email"),
        ("http://bl129w.blu129.mail.live.com/x", "bl129w.blu129.mail.live.com", "email"),
        ("https://webmail.example.org/", "webmail.example.org", "email"),
        ("http://vtcemail.s3.amazonaws.com/", "vtcemail.s3.amazonaws.com", "other"),
        ("android-app://com.google.android.gm/", "com.google.android.gm", "email"),
        (
            "android-app://com.google.android.googlequicksearchbox/",
            "com.google.android.googlequicksearchbox",
            "search",
        ),
        ("android-app://com.twitter.android", "com.twitter.android", "social"),
        ("android-app://com.openai.chatgpt/", "com.openai.chatgpt", "ai"),
        ("https://x.com/home", "x.com", "social"),
        ("https://netflix.com/", "netflix.com", "other"),
        ("https://en.wikipedia.org/wiki/Foot", "en.wikipedia.org", "other"),
        ("example.org/path", "example.org", "other"),
        ("about:blank", "", "direct"),
    ],
)
def test_channel(referrer, host, channel):
    assert parse_referrer(referrer, "", "", "") == (host, channel)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://WWW.Example.COM:8443/x", "example.com"),
        ("https://user:secret@example.com/x", "example.com"),
        ("https://example.com.", "example.com"),
        ("//cdn.example.com/x", "cdn.example.com"),
        ("http://localhost:3000/", "localhost"),
        ("http://[2001:db8::1]:80/", "[2001:db8::1]"),
        ("https://münchen.example/", "münchen.example"),
        ("http://www.de/", "www.de"),
        ("http://a b/", ""),
        ("http:///path", ""),
        ("not a url", ""),
        ("word", ""),
        ("https://" + "a" * 300 + ".com", ""),
    ],
)
def test_host(url, host):
    assert host_of(url) == host


def test_internal_is_the_same_host_as_the_page():
    page = "https://www.example.com/b"
    assert parse_referrer("https://example.com/a", page, "", "").channel == "internal"
    assert parse_referrer("https://blog.example.com/a", page, "", "").channel == "other"


@pytest.mark.parametrize(
    ("referrer", "source", "medium", "channel"),
    [
        ("", "spring", "email", "email"),
        ("", "newsletter", "", "email"),
        ("https://t.co/x", "spring", "Email", "email"),
        ("", "", "social", "social"),
        ("", "google", "cpc", "paid_search"),
        ("", "facebook", "", "social"),
        ("", "chatgpt.com", "", "ai"),
        ("", "partner", "banner", "display"),
        ("https://www.bing.com/", "facebook", "cpc", "paid_social"),
    ],
)
def test_campaigns(referrer, source, medium, channel):
    assert parse_referrer(referrer, "", source, medium).channel == channel
