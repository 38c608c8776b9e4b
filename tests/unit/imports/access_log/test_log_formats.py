# ruff: noqa: E501 -- lines of logs are as long as they are
"""The lines that servers, load balancers and CDNs write by default, and on their way through syslog."""

import json

import pytest

from footfall.errors import Invalid
from footfall.imports.access_log.lines import LineReader
from footfall.imports.access_log.requests import read

AGENT = "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0"
IIS_AGENT = AGENT.replace(" ", "+")
CDN_AGENT = AGENT.replace(" ", "%20")
TIME = "27/Nov/2026:10:00:01 +0000"
AT = 1795773601000
COMBINED = f'8.8.8.8 - - [{TIME}] "GET /a?b=1 HTTP/1.1" 200 571 "https://from.example/" "{AGENT}"'
IIS = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken"
CLOUDFRONT = "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol"
CADDY_HEADERS = {"User-Agent": [AGENT], "Referer": ["https://from.example/"]}


def caddy(**request):
    request = {
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "example.com",
        "uri": "/a?b=1",
        "headers": CADDY_HEADERS,
    } | request
    return json.dumps(
        {"level": "info", "ts": AT / 1000, "logger": "http.log.access", "request": request, "status": 200}
    )


# Name, lines (the last one is looked at), and the host that it tells.
FORMATS = {
    "combined": ([COMBINED], ""),
    "nginx main": ([f'10.0.0.1{COMBINED[7:]} "8.8.8.8, 10.0.0.9"'], ""),
    "nginx main without a proxy": ([f'{COMBINED} "-"'], ""),
    "vhost_combined": ([f"www.example.com:443 {COMBINED}"], "www.example.com:443"),
    "combinedio": ([f"{COMBINED} 412 980"], ""),
    "lighttpd": ([COMBINED.replace(" - - [", " www.example.com - [")], "www.example.com"),
    "a list of addresses": ([COMBINED.replace("8.8.8.8", "8.8.8.8, 10.0.0.1")], ""),
    "a list without blanks": ([COMBINED.replace("8.8.8.8", "8.8.8.8,10.0.0.1,10.0.0.2")], ""),
    "a list behind an inner address": ([COMBINED.replace("8.8.8.8", "192.168.1.4, 8.8.8.8")], ""),
    "an address with its port": ([COMBINED.replace("8.8.8.8", "8.8.8.8:4711")], ""),
    "IPv4 within IPv6": ([COMBINED.replace("8.8.8.8", "::ffff:8.8.8.8")], ""),
    "numbers behind the size": ([COMBINED.replace(" 571 ", " 571 1470 0 ")], ""),
    "a host behind the size": ([COMBINED.replace(" 571 ", " 571 my-domain.example ") + ' "-"'], ""),
    "Traefik": ([f'{COMBINED} 1 "web@docker" "http://10.0.0.2:80" 3ms'], ""),
    "syslog": ([f"Nov 27 10:00:01 web1 nginx: {COMBINED}"], ""),
    "syslog with a pid": ([f"<190>Nov  7 10:00:01 web1 nginx[4711]: {COMBINED}"], ""),
    "syslog of RFC 5424": ([f"<190>1 2026-11-27T10:00:01Z web1 nginx - - - {COMBINED}"], ""),
    "syslog with structured data": ([f'<190>1 2026-11-27T10:00:01Z web1 nginx 1 ID1 [a@1 b="c"] {COMBINED}'], ""),
    "syslog with ISO times": ([f"2026-11-27T10:00:01.123+00:00 web1 nginx[1]: {COMBINED}"], ""),
    "containerd": ([f"2026-11-27T10:00:01.123456789Z stdout F {COMBINED}"], ""),
    "docker compose": ([f"web-1  | {COMBINED}"], ""),
    "docker logs -t": ([f"2026-11-27T10:00:01.123456789Z {COMBINED}"], ""),
    "docker's file": ([json.dumps({"log": COMBINED + "\n", "stream": "stdout", "time": "2026-11-27T10:00:01Z"})], ""),
    "IIS": ([IIS, f"2026-11-27 10:00:01 10.0.0.2 GET /a b=1 443 - 8.8.8.8 {IIS_AGENT} https://from.example/ 200 0 0 31"], ""),
    "IIS with a quoted cookie": (
        [
            "#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) cs(Cookie) cs(Referer) sc-status",
            f'2026-11-27 10:00:01 GET /a b=1 8.8.8.8 {IIS_AGENT} "a=1; b=2 3" https://from.example/ 200',
        ],
        "",
    ),
    "Advanced Logging": (
        [
            "#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) cs(Referer) sc-status",
            f'2026-11-27 10:00:01 GET /a b=1 "8.8.8.8" "{AGENT}" "https://from.example/" 200',
        ],
        "",
    ),
    "CloudFront": (
        ["#Version: 1.0", CLOUDFRONT, f"2026-11-27\t10:00:01\tFRA50-C1\t571\t8.8.8.8\tGET\td1.cloudfront.net\t/a\t200\thttps://from.example/\t{CDN_AGENT}\tb=1\t-\tHit\tid==\twww.example.com\thttps"],
        "www.example.com",
    ),
    "Caddy": ([caddy(remote_ip="10.0.0.1", client_ip="8.8.8.8")], "example.com"),
    "Caddy before 2.5": ([caddy(remote_addr="8.8.8.8:56418")], "example.com"),
    "Caddy with IPv6": ([caddy(remote_addr="[::ffff:8.8.8.8]:56418")], "example.com"),
    "Caddy behind a proxy": ([caddy(remote_ip="10.0.0.1", headers=CADDY_HEADERS | {"X-Forwarded-For": ["8.8.8.8, 10.0.0.3"]})], "example.com"),
    "Traefik's JSON": (
        [json.dumps({"ClientAddr": "8.8.8.8:5", "ClientHost": "8.8.8.8", "RequestMethod": "GET", "RequestPath": "/a?b=1", "RequestHost": "example.com", "DownstreamStatus": 200, "StartUTC": "2026-11-27T10:00:01Z", "request_User-Agent": AGENT, "request_Referer": "https://from.example/"})],
        "example.com",
    ),
    "Cloudflare": (
        [json.dumps({"ClientIP": "8.8.8.8", "ClientRequestHost": "example.com", "ClientRequestMethod": "GET", "ClientRequestURI": "/a?b=1", "EdgeStartTimestamp": AT * 1_000_000, "EdgeResponseStatus": 200, "ClientRequestUserAgent": AGENT, "ClientRequestReferer": "https://from.example/"})],
        "example.com",
    ),
    "Elastic's schema": (
        [json.dumps({"@timestamp": "2026-11-27T10:00:01.000Z", "source": {"ip": "8.8.8.8"}, "http": {"request": {"method": "GET", "referrer": "https://from.example/"}, "response": {"status_code": 200}}, "url": {"original": "/a?b=1", "domain": "example.com"}, "user_agent": {"original": AGENT}})],
        "example.com",
    ),
    "JSON in syslog": ([f"Nov 27 10:00:01 web1 caddy[1]: {caddy(client_ip='8.8.8.8')}"], "example.com"),
}  # fmt: skip

# These write no referrer, or none by default.
WITHOUT_REFERRER = {
    "Envoy": f'[2026-11-27T10:00:01.000Z] "GET /a?b=1 HTTP/1.1" 200 - 0 154 6 5 "8.8.8.8,10.0.0.1" "{AGENT}" "id-1" "example.com" "10.0.0.2:80"',
    "Istio": f'[2026-11-27T10:00:01.000Z] "GET /a?b=1 HTTP/1.1" 200 - via_upstream - "-" 0 154 6 5 "8.8.8.8" "{AGENT}" "id-1" "example.com" "10.0.0.2:80" outbound|80||x 10.0.0.3:1 10.0.0.4:80 8.8.8.8:0 - default',
    "ALB": f'https 2026-11-27T10:00:01.000000Z app/lb/50dc6c 8.8.8.8:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET https://example.com:443/a?b=1 HTTP/1.1" "{AGENT}" ECDHE TLSv1.2 arn:aws "Root=1" "-" "-" 0 2026-11-27T10:00:00.9Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-"',
    "Classic ELB": f'2026-11-27T10:00:01.000000Z my-lb 8.8.8.8:2817 10.0.0.1:80 0.00007 0.001 0.00006 200 200 0 29 "GET http://example.com:80/a?b=1 HTTP/1.1" "{AGENT}" - -',
}  # fmt: skip

HAPROXY = (
    "Nov 27 10:00:01 lb haproxy[14389]: 8.8.8.8:33317 [27/Nov/2026:10:00:01.000] http-in static/srv1 10/0/30/69/109"
    ' 200 2750 - - ---- 1/1/1/1/0 0/0 {captured}"GET /a?b=1 HTTP/1.1"'
)


def last(lines, *arguments):
    reader = LineReader(*arguments)
    hits = read(lines, reader)
    assert hits.hits, hits.refusals.problems
    return hits.hits[-1].request


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_request_is_read_of_every_server(name):
    lines, host = FORMATS[name]
    request = last(lines)
    assert (request.address, request.at, request.method) == ("8.8.8.8", AT, "GET")
    assert (request.target, request.status, request.user_agent) == ("/a?b=1", 200, AGENT)
    assert (request.referrer, request.host) == ("https://from.example/", host)


@pytest.mark.parametrize("name", WITHOUT_REFERRER)
def test_load_balancers_tell_all_but_the_referrer(name):
    hit = read([WITHOUT_REFERRER[name]]).hits[0]
    request = hit.request
    assert (request.address, request.at, hit.path, hit.query) == ("8.8.8.8", AT, "/a", "b=1")
    assert (request.status, request.user_agent, request.referrer, hit.host) == (200, AGENT, "", "example.com")


@pytest.mark.parametrize(
    ("captured", "named", "agent", "host"),
    [
        ("", "", "", ""),
        ("{} {} ", "", "", ""),
        (f"{{example.com|{AGENT}}} ", "haproxy {Host|User-Agent}", AGENT, "example.com"),
        ("{example.com|} {} ", "haproxy {Host|User-Agent}", "-", "example.com"),
    ],
)
def test_haproxy_tells_what_it_captured(captured, named, agent, host):
    request = last([HAPROXY.format(captured=captured)], named)
    assert (request.address, request.at, request.target) == ("8.8.8.8", AT, "/a?b=1")
    assert (request.user_agent, request.host) == (agent, host)


NGINX = "'$remote_addr - $remote_user [$time_local] \"$request\" '\n '$status $body_bytes_sent \"$http_referer\" '\n '\"$http_user_agent\"'"


@pytest.mark.parametrize(
    ("format_string", "line"),
    [
        ('$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"', COMBINED),
        (NGINX, COMBINED),
        (f"log_format main {NGINX};", COMBINED),
        (r'LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"" combined', COMBINED),
        (r'"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-agent}i\""', COMBINED),
        ('%{X-Forwarded-For}i %h %t "%r" %s "%{Referer}i" "%{User-Agent}i"', f'8.8.8.8, 10.0.0.9 10.0.0.1 [{TIME}] "GET /a?b=1 HTTP/1.1" 200 "https://from.example/" "{AGENT}"'),
        ('$http_x_forwarded_for|$msec|$request_method|$request_uri|$status|"$http_referer"|"$http_user_agent"', f'8.8.8.8|1795773601.000|GET|/a?b=1|200|"https://from.example/"|"{AGENT}"'),
        ("[$time_iso8601] $remote_addr $request_method $uri?$args $status '$http_referer' '$http_user_agent'", f"[2026-11-27T10:00:01+00:00] 8.8.8.8 GET /a?b=1 200 'https://from.example/' '{AGENT}'"),
        ('%a %{%Y-%m-%dT%H:%M:%S%z}t %m %U%q %>s "%{Referer}i" "%{User-Agent}i"', f'8.8.8.8 2026-11-27T10:00:01+0000 GET /a?b=1 200 "https://from.example/" "{AGENT}"'),
        (r"%a\t%t\t%r\t%>s\t%{Referer}i\t%{User-Agent}i", f"8.8.8.8\t[{TIME}]\tGET /a?b=1 HTTP/1.1\t200\thttps://from.example/\t{AGENT}"),
        ('{"who":"$remote_addr","when":"$time_iso8601","what":"$request","code":$status,"from":"$http_referer","ua":"$http_user_agent"}', json.dumps({"who": "8.8.8.8", "when": "2026-11-27T10:00:01+00:00", "what": "GET /a?b=1 HTTP/1.1", "code": 200, "from": "https://from.example/", "ua": AGENT})),
    ],
)  # fmt: skip
def test_formats_of_nginx_and_apache_are_taken_as_they_stand_in_the_configuration(format_string, line):
    request = last([line], format_string)
    assert (request.address, request.at, request.method) == ("8.8.8.8", AT, "GET")
    assert (request.target, request.status, request.user_agent) == ("/a?b=1", 200, AGENT)
    assert request.referrer == "https://from.example/"
    # In front of it syslog may have written, and nothing else.
    assert last([f"Nov 27 10:00:01 web1 nginx: {line}"], format_string).address == "8.8.8.8"
    assert not read([f"{line}\tmore"], LineReader(format_string)).hits


@pytest.mark.parametrize(
    "written",
    ["nonsense", "$remote_addr $status", "%h %t %>s", "$request $time_local", '{"a":"$status"}', "$" * 5000],
)
def test_a_format_that_tells_too_little_is_refused_and_says_of_what(written):
    with pytest.raises(Invalid) as told:
        LineReader(written)
    assert told.value.field == "format"


REFUSED = {
    "two addresses side by side": None,
    "fields before the time": COMBINED.replace(" - - [", " proxy: 9.9.9.9 - - ["),
    "a quoted host before the referrer": COMBINED.replace(" 571 ", ' 571 "www.my.example" '),
    "a quoted word before the referrer": COMBINED.replace(" 571 ", ' 571 "MISS" '),
    "a quoted dash before the referrer": COMBINED.replace(" 571 ", ' 571 "-" '),
    "a zone that is none": COMBINED.replace("+0000", "+9999"),
    "a zone of minutes that are none": COMBINED.replace("+0000", "+0060"),
    "a second that is none": COMBINED.replace(":01 +0000", ":61 +0000"),
    "one quoted field": COMBINED.replace(f' "{AGENT}"', ""),
    "text behind a common line": f'8.8.8.8 - - [{TIME}] "GET / HTTP/1.1" 200 571 something "x"',
    "an error log": "2026/11/27 10:00:01 [error] 12#12: *1 open() failed, client: 8.8.8.8, server: x",
    "captures without names": HAPROXY.format(captured="{example.com|x} "),
    "captures of the answer": HAPROXY.format(captured="{} {x} "),
    "no answer": HAPROXY.format(captured="").replace(" 200 ", " -1 "),
    "part of a container's line": f"2026-11-27T10:00:01.123456789Z stdout P {COMBINED}",
    "values without fields": "2026-11-27 10:00:01 10.0.0.2 GET /a - 443 - 8.8.8.8 x - 200 0 0 31",
    "a program's JSON": json.dumps({"level": "info", "ts": 1, "msg": "8.8.8.8 started"}),
    "a time that is an address": json.dumps({"timestamp": "203.0.113.9", "remote_addr": "203.0.113.9", "request": "GET /a HTTP/1.1", "status": 200}),
    "a date and an address": json.dumps({"time": "2026-11-20 203.0.113.9", "remote_addr": "1.1.1.1", "request": "GET /a HTTP/1.1", "status": 200}),
    "a status that is text": json.dumps({"time": 1, "remote_addr": "203.0.113.9", "request": "GET /a HTTP/1.1", "status": "203.0.113.9"}),
    "a line in a line in a line": json.dumps({"log": json.dumps({"log": "203.0.113.9"})}),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, line in REFUSED.items() if line])
def test_what_is_not_fully_understood_is_refused_without_a_word_of_it(name):
    hits = read([REFUSED[name]])
    assert not hits.hits
    (problem,) = hits.refusals.problems
    for secret in ("8.8.8.8", "203.0.113.9", "9.9.9.9", "example.com"):
        assert secret not in problem.detail
    assert problem.detail


@pytest.mark.parametrize(
    "line",
    [
        COMBINED.replace("8.8.8.8", "10.0.0.5 8.8.8.8"),
        COMBINED.replace("8.8.8.8", "unknown"),
        COMBINED.replace("8.8.8.8", "-"),
        COMBINED.replace("8.8.8.8", "8.8.8.8, unknown"),
        caddy(remote_addr="unix:@"),
    ],
)
def test_who_the_client_is_nobody_knows(line):
    assert read([line]).hits[0].request.address == ""


def test_fields_count_from_their_line_on_and_from_one_chunk_to_the_next():
    lines = [IIS, "2026-11-27 10:00:01 10.0.0.2 GET /a - 443 - 8.8.8.8 x - 200 0 0 31"]
    reader = LineReader()
    hits = read(
        [
            lines[1],
            *lines,
            "#Software: IIS",
            "#Fields: date time cs-method cs-uri-stem sc-status",
            "2026-11-27 10:00:02 GET /b 304",
        ],
        reader,
    )
    assert [hit.path for hit in hits.hits] == ["/a", "/b"]
    assert hits.refusals.counts == {"bad_line": 1, "directive": 3}
    assert read(["2026-11-27 10:00:03 GET /c 200"], LineReader("", reader.fields)).hits[0].path == "/c"
    told_too_little = read([IIS, "#Fields: date time c-ip", lines[1]])
    assert not told_too_little.hits
    assert told_too_little.refusals.counts == {"bad_line": 2, "directive": 1}
    with pytest.raises(Invalid, match="sc-status"):
        LineReader("", "date time cs-method cs-uri-stem")


def test_framing_the_address_and_a_dash_are_no_part_of_what_tells_lines_apart():
    identity = LineReader()
    assert (
        len(
            {
                identity(lines[-1])
                for lines in ([COMBINED], FORMATS["syslog"][0], FORMATS["a list of addresses"][0])
            }
        )
        == 1
    )
    without = COMBINED.replace(AGENT, "-")
    assert identity(without) == identity(without.replace("8.8.8.8", "9.9.9.9, 1.1.1.1"))


@pytest.mark.parametrize("clock", ["%d %d", "%Q", "%", "%s", "%Y" * 2])
def test_a_form_of_times_that_is_none_is_refused_with_the_format(clock):
    with pytest.raises(Invalid, match="the time") as told:
        LineReader(f'%h %{{{clock}}}t "%r" %>s')
    assert told.value.field == "format"
