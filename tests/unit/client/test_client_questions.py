"""The query side of the client: what is asked, and the rows that come back."""

import json
import sys
from datetime import UTC, date, datetime

import httpx
import pytest

from footfall.client import AsyncClient, Client, FootfallError, Invalid, Result, Retryable
from footfall.client.question import Question
from footfall.query.language.body import Query

META = {"exact": True, "warnings": []}


def asking(answer, **options):
    """A client of a console that gives `answer` (or the next of its answers), and the requests it made."""
    requests = []

    def handle(request):
        requests.append(request)
        given = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(given, Exception):
            raise given
        return given

    options = {"key": "k", "transport": httpx.MockTransport(handle)} | options
    return Client(console_url="http://console", **options), requests


def ok(**members):
    return httpx.Response(200, json={"meta": META} | members)


def test_the_words_of_a_query_are_the_consoles():
    ours = set(Question.__annotations__) - {"limit", "offset"} | {"metrics", "pagination"}
    assert ours == set(Query.__struct_fields__)


def test_a_query():
    answer = ok(
        results=[{"metrics": [3, 0.5], "dimensions": ["DE"]}, {"metrics": [1, None], "dimensions": ["FR"]}],
        query={"timezone": "UTC"},
    )
    client, requests = asking(answer)
    with client:
        result = client.query(
            ["visitors", "bounce_rate"],
            dimensions=["country_code"],
            date_range=(date(2026, 11, 1), datetime(2026, 11, 20, 12, tzinfo=UTC)),
            filters=[["is", "device_type", ["mobile"]]],
            order_by=[("visitors", "desc")],
            limit=2,
            include={"bots": True},
        )
    assert (requests[0].method, requests[0].url.path) == ("POST", "/v1/query")
    assert requests[0].headers["authorization"] == "Bearer k"
    assert json.loads(requests[0].content) == {
        "metrics": ["visitors", "bounce_rate"],
        "dimensions": ["country_code"],
        "date_range": ["2026-11-01", "2026-11-20T12:00:00Z"],
        "filters": [["is", "device_type", ["mobile"]]],
        "order_by": [["visitors", "desc"]],
        "pagination": {"limit": 2},
        "include": {"bots": True},
    }
    assert list(result) == [
        {"country_code": "DE", "visitors": 3, "bounce_rate": 0.5},
        {"country_code": "FR", "visitors": 1, "bounce_rate": None},
    ]
    assert (len(result), result.meta, result.query) == (2, META, {"timezone": "UTC"})


def test_a_comparison_has_columns_of_its_own():
    row = {"metrics": [3], "dimensions": [], "comparison": {"metrics": [2], "change": [0.5]}}
    client, _ = asking(ok(results=[row], query={}))
    with client:
        result = client.query(["visitors"], compare="previous_period")
    assert result.rows == [{"visitors": 3, "visitors_before": 2, "visitors_change": 0.5}]


def test_wrong_words_are_the_programmers_to_mend():
    client, requests = asking(ok(results=[], query={}))
    with client:
        with pytest.raises(TypeError, match="dimension"):
            client.query(["visitors"], dimension=["country_code"])
        with pytest.raises(TypeError, match="list"):
            client.query("visitors")
    assert not requests


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("analytics/countries", "/api/v1/analytics/countries"),
        ("analytics/links/link_x", "/api/v1/analytics/links/link_x"),
        ("stats/widgets", "/v1/stats/widgets"),
        ("/v1/anything", "/v1/anything"),
        ("analytics/links/a?b#c", "/api/v1/analytics/links/a%3Fb%23c"),
    ],
)
def test_a_report(name, path):
    answer = ok(data=[{"country_code": "DE", "clicks": 3}], meta={"query": {"timezone": "UTC"}})
    client, requests = asking(answer, read_key="reader")
    with client:
        result = client.report(
            name, start_date=date(2026, 1, 31), include_bots=True, by=["os", "browser"], limit=3, site_id=None
        )
    assert requests[0].url.raw_path.decode().partition("?")[0] == path
    assert dict(requests[0].url.params) == {
        "start_date": "2026-01-31",
        "include_bots": "true",
        "by": "os,browser",
        "limit": "3",
    }
    assert requests[0].headers["authorization"] == "Bearer reader"
    assert (result.rows, result.query) == ([{"country_code": "DE", "clicks": 3}], {"timezone": "UTC"})


def test_a_report_about_one_thing_has_one_row():
    client, _ = asking(ok(data={"clicks": 5}))
    with client:
        assert client.report("analytics/overview").rows == [{"clicks": 5}]


def test_a_refused_question_says_what_is_wrong():
    answer = httpx.Response(400, json={"detail": "metrics: 'x' is not known", "field": "metrics"})
    client, requests = asking(answer)
    with client, pytest.raises(Invalid, match="is not known") as caught:
        client.query(["x"])
    assert caught.value.field == "metrics"
    assert len(requests) == 1


def busy():
    return httpx.Response(503, headers={"Retry-After": "0"}, json={"detail": "the store does not answer"})


def test_only_503_is_asked_again(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    client, requests = asking([busy(), busy(), ok(data=[])])
    with client:
        assert client.report("analytics/countries").rows == []
    assert len(requests) == 3
    client, requests = asking([busy()] * 3)
    with client, pytest.raises(Retryable, match="the store does not answer"):
        client.report("analytics/countries")
    assert len(requests) == 3
    client, requests = asking([httpx.Response(500)])
    with client, pytest.raises(FootfallError, match="500"):
        client.report("analytics/countries")
    client, requests = asking([httpx.ConnectError("refused")])
    with client, pytest.raises(Retryable, match="no answer from http://console: refused"):
        client.report("analytics/countries")


def test_a_timeout_may_be_set_for_one_question():
    client, requests = asking([ok(data=[]), ok(data=[])], query_timeout=7)
    with client:
        client.report("analytics/overview")
        client.report("analytics/overview", query_timeout=300)
    assert [request.extensions["timeout"]["read"] for request in requests] == [7, 300]


@pytest.mark.parametrize("body", ["<html>", "[]", '{"rows": []}'])
def test_a_page_of_somebody_else_is_no_answer(body):
    client, _ = asking(httpx.Response(200, text=body))
    with client, pytest.raises(FootfallError, match="console_url"):
        client.report("analytics/overview")


@pytest.mark.anyio
async def test_the_same_without_threads():
    async def handle(request):
        return ok(data=[{"n": 1}]) if request.method == "GET" else ok(results=[], query={})

    async with AsyncClient(console_url="http://c", key="k", transport=httpx.MockTransport(handle)) as client:
        assert (await client.report("analytics/countries")).rows == [{"n": 1}]
        assert (await client.query(["visitors"], dimensions=["os"])).columns == ("os", "visitors")


ROWS = [{"a": 1, "b": None, "c": {"EUR": 5}}, {"a": 2, "b": 0.5, "c": {}}]


@pytest.mark.parametrize("name", ["polars", "pandas"])
def test_frames(name):
    library = pytest.importorskip(name)
    frame = getattr(Result(ROWS, {}, {}, ("a", "b", "c")), f"to_{name}")()
    assert isinstance(frame, library.DataFrame)
    assert (list(frame.columns), frame.shape) == (["a", "b", "c"], (2, 3))
    assert list(frame["a"]) == [1, 2]
    empty = getattr(Result([], {}, {}, ("a", "b")), f"to_{name}")()
    assert (list(empty.columns), len(empty)) == (["a", "b"], 0)


@pytest.mark.parametrize("name", ["polars", "pandas"])
def test_a_missing_library_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install {name}"):
        getattr(Result(ROWS, {}, {}), f"to_{name}")()
