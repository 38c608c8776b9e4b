"""Inputs that nobody would write, for every parser that meets what strangers and readers send.

    python -m tests.security.fuzz [--inputs 1000000] [--seed 1] [--only body]

Seeds and words of each grammar are cut, repeated, spliced and flipped. A parser answers, or refuses with an
error that is answered 4xx; and no step of it takes 10 ms of processor time (of three tries, so that
a collection of garbage is not taken for its own).
"""

# ruff: noqa: E501 -- a seed is one line

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from urllib.parse import parse_qsl

import msgspec

from footfall.collect.body.inflate import inflate_in_steps
from footfall.collect.body.read import BodyLimits, decode_in_steps, decode_small
from footfall.collect.client import Proxies, header_text
from footfall.enrich.bots import classify
from footfall.enrich.page import parse_page
from footfall.enrich.referrer import parse_referrer
from footfall.enrich.user_agent import parse_user_agent
from footfall.errors import FootfallError
from footfall.http.requests import Enough, RefusedRequest, Requests
from footfall.problems import status_of
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.params import parse
from footfall.query.language.ranges import compared_period, period_of
from footfall.query.reports import REPORTS
from footfall.tenants.links.targets import check_target

LONGEST = 0.01
"""Seconds of processor time, of one step."""

LARGEST = 60_000
NOW = datetime(2026, 3, 31, tzinfo=UTC)

Parser = Callable[[bytes], Iterator[object] | None]
"""Parses; as an iterator where it lets others go on between steps."""


class _Connection:
    """What is read of it goes nowhere."""

    def __getattr__(self, _name):
        return lambda *_: None


def head(data):
    requests = Requests(_Connection(), ("192.0.2.1", 1), ("127.0.0.1", 2))
    try:
        requests.take(memoryview(data))
    except (RefusedRequest, Enough):
        pass
    finally:
        requests.close()


_LIMITS = BodyLimits(1000)


def body(data):
    kind = ("application/json", "application/x-ndjson", "text/plain")[data[0] % 3] if data else ""
    text = yield from inflate_in_steps(data, ("", "gzip")[data[-1] % 31 == 0] if data else "", 1 << 20)
    if decode_small(text, kind, _LIMITS) is None:
        yield
        yield from decode_in_steps(text, kind, _LIMITS)


def url(data):
    text = header_text(data, 8192)
    parse_page(text, None)
    parse_referrer(text, "https://example.com/", "", "")
    check_target(text, {"example.com"})


def user_agent(data):
    text = header_text(data, 1000)
    classify(text)
    parse_user_agent(text, header_text(data[-300:], 300))


_PROXIES = Proxies([ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def forwarded(data):
    _PROXIES.client_ip("127.0.0.1", data.decode("latin-1"))


_QUERY = msgspec.json.Decoder(Query)


def question(data):
    try:
        query = _QUERY.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    period = period_of(query, NOW, 0)
    resolve_query(query, "acme", period, {})
    compared_period(query, period, NOW)


_BY_NAME = {report.name: report for report in REPORTS}
_ASKED = [
    _BY_NAME[name].params for name in ("overview", "timeseries", "countries", "clicks", "stats_timeseries")
]


def parameters(data):
    items = parse_qsl(data.decode("latin-1"), keep_blank_values=True)
    parse(_ASKED[len(data) % len(_ASKED)], items, NOW, first=0)


PARSERS: dict[str, tuple[Parser, list[bytes], list[bytes]]] = {
    "head": (
        head,
        [
            b"GET /spring?utm_source=x HTTP/1.1\r\nHost: go.example.com\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
            b"POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{},]\r\n0\r\n\r\n",
            b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: upgrade\r\n\r\n{}",
        ],
        [b"\r\n", b"\n", b"\0", b":", b" ", b"\t", b"HTTP/1.1", b"Host: x\r\n", b"Content-Length: 5\r\n", b"chunked",
         b"Upgrade: h2c\r\n", b"http://user@host:99999/", b"%ff", b"\xff", b"0\r\n", b";x=", b"-1", b"f" * 20],
    ),
    "body": (
        body,
        [
            b'{"events":[{"event_type":"page_view","page_url":"https://a.example/x?y=1","properties":{"a":[1,2]}}]}',
            b'[{"event_id":"01890a5d-ac96-774b-bcce-b302099a8057","event_type":"conversion","occurred_at":1}]',
            b'{"event_type":"click","short_code":"x"}\n{"type":"order","props":{"v":1e3}}\n',
            b'{"site_id":"site_x","queue_id":"q","events":[{"event_type":"a\\ud83d\\ude00\\ud800"}]}',
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x8b\x8e\x05\x00\x29\xbb\x4c\x0d\x02\x00\x00\x00",
        ],
        [b"\\ud800", b"\\", b'"', b"{", b"[", b"]", b"}", b",", b":", b"null", b"1e400", b"-0", b"9" * 40, b"\\u0000",
         b"\xff", b"\n", b"\r\n", b'"events":', b'"site_id":', b"true", b'{"a":', b"0.1e-999", b" " * 50, b"NaN"],
    ),
    "url": (
        url,
        [b"https://example.com/path?utm_source=a&utm_medium=b#c", b"http://[::1]:80/%20", b"https://xn--bcher-kva.example/",
         "https://bücher.example/straße?q=ß".encode()],
        [b"%", b"%%", b"[", b"]", b"@", b":", b"//", b"?", b"&", b"=", b"#", b"\\", b"utm_source=", b".", b"xn--", b"\xff",
         "\u3002".encode(), "ß".encode(), "\u202e".encode(), b"0x7f", b"+", b";", b"\t", b":99999", b"javascript:"],
    ),
    "user-agent": (
        user_agent,
        [
            b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36",
            b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
            b'"Chromium";v="131", "Not_A Brand";v="24"|?1|"Android"',
        ],
        [b"bot", b"Mozilla/5.0 ", b"(", b")", b";", b"/", b".", b" ", b"1" * 30, b"Android ", b"Linux", b"compatible", b"_",
         b"\xff", b"crawler", b"spider", b"Version/", b"a" * 90, b"http", b"-"],
    ),
    "forwarded": (
        forwarded,
        [b"203.0.113.9", b"203.0.113.9:80, 10.0.0.1", b"[2001:db8::1]:443, 127.0.0.1", b"::ffff:192.0.2.1"],
        [b",", b":", b"[", b"]", b".", b" ", b"::", b"%eth0", b"ffff", b"0x7f", b"999", b"\xff", b"unknown", b"\0", b"10.0.0.1,"],
    ),
    "question": (
        question,
        [
            b'{"metrics":["visitors"],"date_range":"7d","dimensions":["time:day","country_code"]}',
            b'{"metrics":["events"],"date_range":["2026-03-01","2026-03-07"],"filters":[["is","os",["x"]]]}',
            b'{"metrics":["visitors"],"filters":[["and",[["not",["matches","page_url",["^/a.*"]]],["gt","asn",[1]]]]]}',
            b'{"metrics":["visitors"],"order_by":[["visitors","desc"]],"compare":"previous_period","timezone":"Europe/Berlin"}',
        ],
        [b'["not",', b'["has_done",', b'"matches"', b'"contains"', b'["or",[', b"]", b"[", b'"', b"\\\\p{L}{1,9}", b"(", b")*",
         b"{9}", b'"property:a"', b'"tag"', b"1e308", b"-1", b"2026-02-30", b"9999-12-31T23:59:59.999+14:00", b"null", b"\\u0000",
         b"all", b'"time:hour"', b'"../etc"', b"true", b"9" * 30, b'"site_id":', b","],
    ),
    "parameters": (
        parameters,
        [
            b"start_date=2026-03-01&end_date=2026-03-07&country_code=US,BR",
            b"interval=hour&timezone=Europe/Berlin&page_path=-/a,/b&limit=10&offset=5",
            b"from=2026-03-01T00:00:00%2B01:00&to=2026-03-08&granularity=day&week_start=sunday&property:plan=x",
            b"cursor=2026-01-31T18:00:00.000Z,01890a5d-ac96-774b-bcce-b302099a8057&include_bots=1",
        ],
        [b"&", b"=", b",", b"-", b"%5C", b"%00", b"%ff", b"+", b"page_path=", b"interval=all", b"2026-02-30", b"0000-00-00",
         b"9999-12-31", b"timezone=../x", b"property:", b"a,", b"%22%22", b"1e9", b"9" * 25, b"limit=", b"is_bot=true", b"asn=-1,"],
    ),
}  # fmt: skip


def mutate(chance, seeds, words):
    """An input: a seed, changed at some places."""
    data = bytearray(chance.choice(seeds))
    for _ in range(1 + int(chance.expovariate(0.4))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                data[at:at] = chance.choice(words)
            case 1:
                del data[at : at + 1 + int(chance.expovariate(0.2))]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                data[at:at] = data[chance.randrange(len(data) + 1) :][: chance.randrange(1, 40)]
            case 4:
                data[at:at] = chance.choice(words) * min(int(chance.paretovariate(0.6)), 5000)
            case 5:
                data[at:at] = chance.choice(seeds)
            case _:
                del data[at:]
        if len(data) > LARGEST:
            del data[LARGEST:]
    return bytes(data)


def cost(parser, data):
    """Seconds of processor time of the longest step. Raises what is no refusal."""
    longest = 0.0
    started = time.thread_time()
    try:
        for _ in parser(data) or ():
            now = time.thread_time()
            longest, started = max(longest, now - started), now
    except FootfallError as error:
        if not 400 <= status_of(error) < 500:
            raise
    return max(longest, time.thread_time() - started)


def run(name, inputs, seed=1):
    """The longest step of so many inputs. Raises AssertionError, with the input, for one too long or not refused."""
    parser, seeds, words = PARSERS[name]
    chance = random.Random(f"{name} {seed}")
    for known in seeds:
        cost(parser, known)  # tables are loaded
    longest = 0.0
    for _ in range(inputs):
        data = mutate(chance, seeds, words)
        try:
            took = cost(parser, data)
            if took > LONGEST:
                took = min(took, *(cost(parser, data) for _ in range(3)))
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error} for {data[:2000]!r}") from error
        assert took <= LONGEST, f"{name}: {took * 1000:.1f} ms for {len(data)} bytes: {data[:2000]!r}"
        longest = max(longest, took)
    return longest


def main():
    arguments = argparse.ArgumentParser(
        prog="python -m tests.security.fuzz", description="Fuzz every parser."
    )
    arguments.add_argument(
        "--inputs", type=int, default=1_000_000, help="for each parser (default 1,000,000)"
    )
    arguments.add_argument("--seed", type=int, default=1, help="of all that is random (default 1)")
    arguments.add_argument("--only", choices=list(PARSERS), help="one parser")
    given = arguments.parse_args()
    for name in [given.only] if given.only else PARSERS:
        started = time.process_time()
        longest = run(name, given.inputs, given.seed)
        each = (time.process_time() - started) / given.inputs
        said = f"{name:12} {given.inputs:,} inputs, longest {longest * 1000:.2f} ms, {each * 1e6:.0f} us each"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
