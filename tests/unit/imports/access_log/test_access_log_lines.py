"""Lines of access logs: what is read from them, what tells them apart, and what is refused."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.imports.access_log import combined, json_log
from footfall.imports.access_log.request import Request, any_time
from footfall.imports.access_log.requests import line_identity, read

SAMPLE = Path(__file__).parents[4] / "examples" / "data" / "apache_access.log.gz"
AT = 1431857103000  # 17 May 2015, 10:05:03 UTC
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"
LINE = (
    "203.0.113.9 - frank [17/May/2015:10:05:03 +0000] "
    f'"GET /a?b=c HTTP/1.1" 200 5316 "http://from.example/" "{AGENT}"'
)
REQUEST = Request("203.0.113.9", AT, "GET", "/a?b=c", 200, "http://from.example/", AGENT, "")


def parts(line):
    request = combined.parse(line)
    return request.address, request.host, request.target, request.referrer, request.user_agent


def test_every_part_of_a_line_is_read():
    assert combined.parse(LINE) == REQUEST


@pytest.mark.parametrize(
    "line",
    [
        LINE + ' "10.0.0.1, 203.0.113.9" 0.012',
        LINE[:-1],  # cut off in the user agent
        LINE.replace("frank", "frank of the hill"),
        LINE.replace("+0000", "+0200").replace(":10:05", ":12:05"),
        LINE.replace("+0000", "-0330").replace(":10:05", ":06:35"),
    ],
)
def test_relatives_of_the_format_are_read_alike(line):
    assert combined.parse(line) == REQUEST


def test_the_common_format_has_neither_referrer_nor_user_agent():
    assert parts(LINE.partition(' "http')[0]) == ("203.0.113.9", "", "/a?b=c", "", "")


@pytest.mark.parametrize("host", ["www.example.com", "www.example.com:443"])
def test_a_virtual_host_in_front_is_no_client(host):
    assert parts(f"{host} {LINE}")[:2] == ("203.0.113.9", host)
    # Without an address behind it the name is the client's.
    named = LINE.replace("203.0.113.9", host)
    assert parts(named)[:2] == (host, "")


def test_addresses_of_both_families_are_read():
    assert parts(LINE.replace("203.0.113.9", "2001:db8::1"))[0] == "2001:db8::1"
    assert parts("www.example.com " + LINE.replace("203.0.113.9", "2001:db8::1"))[0] == "2001:db8::1"


def test_a_dash_stays_the_sign_of_no_user_agent_and_escapes_are_undone():
    assert parts(LINE.replace(AGENT, "-"))[4] == "-"
    assert parts(LINE.replace(AGENT, r"a \"b\" \x22c\x22 \\ \xc3\xa9"))[4] == 'a "b" "c" \\ é'
    assert parts(LINE.replace(AGENT, r"\xe9\x00\n"))[4] == "é"
    assert parts(LINE.replace("/a?b=c", r"/\x22quoted\x22"))[2] == '/"quoted"'


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("", "combined"),
        ("hello", "combined"),
        (LINE.replace("17/May", "31/Feb"), "day"),
        (LINE.replace("17/May", "17/Mai"), "time"),
        (LINE.replace("+0000", "UTC"), "time"),
        (LINE.replace("2015", "1915"), "age"),
        (LINE.replace(" 200 ", " 999 "), "status"),
        (LINE.replace(" 200 ", " OK "), "combined"),
        ('{"status": 200}', "method"),
        ("{" * 10, ""),
        ('{"a":' * 20_000, ""),
        ('{"method":"GET","path":"/","status":true,"time":1}', "status"),
        ('{"method":"GET","path":"/","status":200,"time":"soon"}', ""),
        ('{"method":"GET","path":"/","status":200,"time":NaN}', ""),
        ('{"method":"GET","path":"/","status":200,"time":1e30}', "age"),
        ("x" * 70_000, "longer"),
        (LINE.replace("2015", "2095"), "future"),
    ],
)
def test_what_is_no_request_is_refused_with_a_reason(changed, says):
    found = read([LINE, changed, LINE])
    assert [hit.line for hit in found.hits] == [0, 2]
    assert found.refusals.counts == {"bad_line": 1}
    assert says in found.refusals.problems[0].detail


@pytest.mark.parametrize("line", [LINE.replace('" 200', ' 203.0.113.9" 9999'), "{203.0.113.9"])
def test_the_reason_does_not_repeat_the_line(line):
    assert "203.0.113" not in read([line]).refusals.problems[0].detail


NGINX = {
    "time_iso8601": "2015-05-17T10:05:03+00:00",
    "remote_addr": "203.0.113.9",
    "request": "GET /a?b=c HTTP/1.1",
    "status": "200",
    "http_referer": "http://from.example/",
    "http_user_agent": AGENT,
    "http_host": "www.example.com",
}
CADDY = {
    "ts": AT / 1000,
    "request": {
        "client_ip": "203.0.113.9",
        "method": "GET",
        "host": "www.example.com",
        "uri": "/a?b=c",
        "headers": {"User-Agent": [AGENT], "Referer": ["http://from.example/"]},
    },
    "status": 200,
}
TRAEFIK = {
    "StartUTC": "2015-05-17T10:05:03Z",
    "ClientHost": "203.0.113.9",
    "RequestMethod": "GET",
    "RequestPath": "/a?b=c",
    "RequestHost": "www.example.com",
    "DownstreamStatus": 200,
    "request_Referer": "http://from.example/",
    "request_User-Agent": AGENT,
}
CLOUDFLARE = {
    "EdgeStartTimestamp": AT * 1_000_000,
    "ClientIP": "203.0.113.9",
    "ClientRequestMethod": "GET",
    "ClientRequestURI": "/a?b=c",
    "ClientRequestHost": "www.example.com",
    "EdgeResponseStatus": 200,
    "ClientRequestReferer": "http://from.example/",
    "ClientRequestUserAgent": AGENT,
}


@pytest.mark.parametrize("line", [NGINX, CADDY, TRAEFIK, CLOUDFLARE], ids=["nginx", "caddy", "traefik", "cf"])
def test_the_same_request_is_read_from_the_json_of_any_server(line):
    expected = Request(
        "203.0.113.9", AT, "GET", "/a?b=c", 200, "http://from.example/", AGENT, "www.example.com"
    )
    assert json_log.parse(json.dumps(line)) == expected


@pytest.mark.parametrize("key", list(NGINX))
@pytest.mark.parametrize("value", [None, "", 7, [], ["x"], {"x": 1}, True, -1.5, "\x00"])
def test_json_of_wrong_types_is_a_request_or_a_bad_line(key, value):
    found = read([json.dumps(NGINX | {key: value})])
    assert len(found.hits) + found.refusals.counts.get("bad_line", 0) == 1


@pytest.mark.parametrize(
    "written",
    [AT, AT / 1000, str(AT / 1000), AT * 1000, AT * 1_000_000, "17/May/2015:12:05:03 +0200",
     "2015-05-17T10:05:03Z", "2015-05-17 10:05:03", "2015-05-17T05:05:03.000-05:00"],
)  # fmt: skip
def test_times_may_be_written_in_many_ways(written):
    assert any_time(written) == AT


def test_the_address_is_no_part_of_what_tells_lines_apart():
    other = LINE.replace("203.0.113.9", "198.51.100.77").replace("frank", "-") + ' "192.0.2.1"'
    assert line_identity(LINE) == line_identity(other)
    assert line_identity(json.dumps(NGINX)) == line_identity(json.dumps(NGINX | {"remote_addr": "::1"}))
    broken = LINE.replace("2015", "2015x")
    assert line_identity(broken) == line_identity(broken.replace("203.0.113.9", "2001:db8::77"))
    for part in ("10:05:03", "GET", "/a", " 200 ", "from", "X11"):
        assert line_identity(LINE) != line_identity(LINE.replace(part, part[:-1] + "4" + part[-1:]))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_no_line_can_make_it_fail(line):
    found = read([line])
    assert len(found.identities) == 1
    assert found.identities[0] == line_identity(line) or len(line) > 300


@given(
    st.lists(st.sampled_from([*'"\\[] -:/.', "x22", "GET", "/a", "200", "17/May/2015:10:05:03 +0000"])).map(
        "".join
    )
)
def test_no_mixture_of_the_format_can_make_it_fail(line):
    read([line, LINE[:40] + line, LINE + line, LINE.replace(AGENT, line)])


@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_can_make_it_fail(value):
    for part in NGINX:
        read([json.dumps(NGINX | {part: value})])


@given(st.text(st.characters(codec="utf-8")))
def test_what_apache_escapes_is_read_back(text):
    escaped = "".join(
        f"\\x{byte:02x}" if byte < 32 or byte > 126 else "\\" + chr(byte) if chr(byte) in '"\\' else chr(byte)
        for byte in text.encode()
    )
    assert combined.unescape(escaped) == text


def test_the_real_log():
    lines = gzip.decompress(SAMPLE.read_bytes()).decode().splitlines()
    found = read(lines)
    assert len(found.hits) == 10_000
    statuses = Counter(hit.request.status for hit in found.hits)
    assert {status: statuses[status] for status in (200, 304, 404, 301, 206)} == {
        200: 9126, 304: 445, 404: 213, 301: 164, 206: 45
    }  # fmt: skip
    assert len({hit.request.address for hit in found.hits}) == 1753
    assert len({hit.request.user_agent for hit in found.hits}) == 559
