"""Document B, what a React app of another origin reads with a bearer token."""

import uuid

import pytest

RANGE = {"start_date": "2025-01-20T00:00:00Z", "end_date": "2025-01-31T00:00:00Z"}
ORIGIN = "https://app.example"
READS = ["overview", "links/link_r", "clicks", "countries", "devices", "referers", "timeseries"]


def click(minute, visitor, link="link_r", **more):
    return {
        "event_id": str(uuid.uuid4()), "link_id": link, "short_code": "r", "visitor_id": visitor,
        "original_url": "https://example.com/r", "timestamp": f"2025-01-24T10:{minute:02d}:00Z",
        "country": "United States", "device_type": "mobile", "browser": "Chrome", "os": "Android",
        "referer": "https://t.co/x",
    } | more  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def sent(at):
    at.send(
        [
            click(0, "a"),
            click(1, "a"),
            click(2, "b", country="Germany", referer=""),
            click(3, "a", link="link_other"),
            click(4, "a", timestamp="2025-01-25T10:00:00Z"),
            click(5, "bot", is_bot=True, bot_name="AcmeBot"),
            click(6, None, visitor_id=""),
        ]
    )
    at.settle()


@pytest.mark.parametrize("path", READS)
def test_every_read_takes_the_parameters_of_the_document(at, path):
    for interval in ("hour", "day", "week", "month"):
        params = RANGE | {"link_id": "link_r", "interval": interval, "limit": 10, "offset": 0}
        answer = at.console.get(f"/api/v1/analytics/{path}", params=params)
        assert answer.status_code == 200, answer.text


def test_clicks_carry_the_documents_names_beside_ours(at):
    (event, *_) = at.events(link_id="link_other")
    assert event["timestamp"] == event["occurred_at"] == "2025-01-24T10:03:00.000+00:00"
    assert (event["country"], event["country_code"]) == ("United States", "US")
    assert event["referer_host"] == event["referrer_host"] == "t.co"
    assert event["referer"] == "https://t.co/x"
    assert event["workspace_id"] == "default"
    assert event["is_unique"] is True
    assert "ip_address" not in event


def test_the_first_click_of_a_visitor_on_a_link_in_a_day_is_unique(at):
    events = at.events(link_id="link_r", include_bots="true")
    unique = {event["occurred_at"][:16]: event["is_unique"] for event in events}
    assert unique == {
        "2025-01-24T10:00": True,
        "2025-01-24T10:01": False,
        "2025-01-24T10:02": True,
        "2025-01-25T10:00": True,
        "2025-01-24T10:05": True,
        "2025-01-24T10:06": False,  # of nobody known
    }


def test_a_page_of_clicks_knows_what_was_before_it(at):
    """Also when the first click is on another page, or left out by a filter."""
    found = at.events(link_id="link_r", limit=1, offset=2)
    assert [(event["occurred_at"][14:16], event["is_unique"]) for event in found] == [("02", True)]
    (second,) = at.ask(
        "/api/v1/analytics/clicks",
        start_date="2025-01-24T10:01:00Z",
        end_date="2025-01-24T10:02:00Z",
        link_id="link_r",
    )
    assert second["is_unique"] is False


def test_unique_and_human_clicks_are_metrics(at):
    question = {
        "metrics": ["clicks", "unique_clicks", "human_clicks"],
        "filters": [["is", "link_id", ["link_r"]]],
        "date_range": ["2025-01-20", "2025-01-31"],
    }
    ask = lambda **more: at.console.post("/v1/query", json=question | more).json()["results"]  # noqa: E731 -- once
    assert ask()[0]["metrics"] == [5, 3, 5]
    assert ask(include={"bots": True})[0]["metrics"] == [6, 4, 5]
    by_day = {tuple(row["dimensions"]): row["metrics"] for row in ask(dimensions=["time:day"])}
    assert by_day["2025-01-24T00:00:00+00:00",] == [4, 2, 4]


def test_a_link_page_of_another_redirect_service(at):
    page = at.ask("/api/v1/analytics/links/link_r", **RANGE)
    assert (page["link_id"], page["short_code"], page["destination_url"]) == (
        "link_r", "r", "https://example.com/r",
    )  # fmt: skip
    assert (page["clicks"], page["visitors"]) == (5, 2)
    assert {row["country"]: row["clicks"] for row in page["countries"]} == {"United States": 4, "Germany": 1}
    outside = at.ask("/api/v1/analytics/links/link_r", start_date="2020-01-01", end_date="2020-01-02")
    assert (outside["short_code"], outside["clicks"]) == ("r", 0)


def test_a_link_that_nobody_knows_is_not_there(at):
    assert at.console.get("/api/v1/analytics/links/link_of_nobody").status_code == 404


def test_a_time_series_says_when_its_buckets_end(at):
    for interval in ("hour", "day", "week", "month", "year"):
        rows = at.ask("/api/v1/analytics/timeseries", **RANGE, interval=interval)
        assert [row["bucket_end"] for row in rows[:-1]] == [row["bucket"] for row in rows[1:]]
        assert rows[-1]["bucket_end"] > rows[-1]["bucket"]


# A page of another origin


@pytest.mark.parametrize("path", [*READS, "/v1/query"])
def test_a_page_may_read_with_a_key_that_only_reads(at, path):
    path = path if path.startswith("/") else f"/api/v1/analytics/{path}"
    method = "POST" if path == "/v1/query" else "GET"
    asked = at.console.options(
        path,
        headers={
            "origin": ORIGIN,
            "access-control-request-method": method,
            "access-control-request-headers": "authorization,content-type",
            "authorization": "",
        },
    )
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in asked.headers["access-control-allow-headers"]
    body = {"json": {"metrics": ["events"], "date_range": "7d"}} if method == "POST" else {}
    headers = {"origin": ORIGIN, "authorization": f"Bearer {at.key('read')}"}
    answer = at.console.request(method, path, headers=headers, **body)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "origin" in answer.headers["vary"].lower()


def shown(answer):
    return "access-control-allow-origin" in answer.headers


def test_nobody_else_is_shown_an_answer(at):
    path = "/api/v1/analytics/overview"
    read, more = at.key("read"), at.key("read", "links")
    ask = lambda origin, key: at.console.get(  # noqa: E731 -- once
        path, headers={"origin": origin, "authorization": f"Bearer {key}"}
    )
    assert shown(ask(ORIGIN, read))
    assert shown(ask("http://localhost:3000", read))
    assert not shown(ask("https://evil.example", read))
    assert not shown(ask("https://app.example.evil.example", read))
    assert not shown(ask(ORIGIN, more))
    assert not shown(at.console.get(path, headers={"origin": ORIGIN}))  # the admin's key
    asked = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    assert not shown(at.console.options(path, headers=asked))
    for elsewhere in ("/api/v1/keys", "/api/v1/links", "/metrics"):
        asked = {"origin": ORIGIN, "access-control-request-method": "GET"}
        assert not shown(at.console.options(elsewhere, headers=asked))
        assert not shown(at.console.get(elsewhere, headers={"origin": ORIGIN}))


def test_a_page_is_shown_a_refusal(at):
    headers = {"origin": ORIGIN, "authorization": f"Bearer {at.key('read')}"}
    wrong = at.console.get("/api/v1/analytics/overview?interval=never", headers=headers)
    assert (wrong.status_code, shown(wrong)) == (400, True)
    gone = at.console.get("/api/v1/analytics/overview", headers=headers | {"authorization": "Bearer ff_x"})
    assert (gone.status_code, shown(gone)) == (401, True)
