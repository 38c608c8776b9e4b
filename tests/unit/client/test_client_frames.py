"""Answers as frames have times, not text; nothing about an event raises where it is tracked."""

import json
from datetime import UTC, date, datetime
from importlib.util import find_spec
from zoneinfo import ZoneInfo

import httpx
import pytest

from footfall.client import Client, Denied, Result

BERLIN = ZoneInfo("Europe/Berlin")
ROWS = [
    {"bucket": "2026-03-29T00:00:00+01:00", "time:day": "2026-03-29", "last_at": None},
    {"bucket": "2026-03-30T00:00:00+02:00", "time:day": "2026-03-30", "last_at": "2026-03-30T10:00:00+02:00"},
]
ROWS = [row | {"name": name, "n": n} for row, name, n in zip(ROWS, ("2026-01-01", "b"), (1, 2), strict=True)]


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_times_are_those_of_the_zone_and_days_are_days(library):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    result = Result(ROWS, {}, {"timezone": "Europe/Berlin"}, tuple(ROWS[0]))
    frame = getattr(result, f"to_{library}")()
    as_list = (
        (lambda name: frame[name].to_list()) if library == "polars" else (lambda name: list(frame[name]))
    )
    assert [each.astimezone(UTC) for each in as_list("bucket")] == [
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
    ]
    assert [each.hour for each in as_list("bucket")] == [0, 0]
    days = [
        each if isinstance(each, date) and not isinstance(each, datetime) else each.date()
        for each in as_list("time:day")
    ]
    assert days == [date(2026, 3, 29), date(2026, 3, 30)]
    assert as_list("last_at")[1].astimezone(BERLIN).hour == 10
    assert as_list("name") == ["2026-01-01", "b"]
    assert as_list("n") == [1, 2]


def test_nothing_about_an_event_raises_and_all_of_it_is_told():
    refused = []

    def door(_):
        return httpx.Response(202, json={"accepted": 1, "rejected": 0, "results": []})

    with Client(
        "http://door", key="k", transport=httpx.MockTransport(door), on_error=refused.append
    ) as client:
        client.track("signup", colour="red")
        assert client.track("signup", page_url=7)
        assert client.track(None)
        assert client.track("signup", ["list"])
        assert client.track("signup", occurred_at=datetime(2026, 1, 1))  # noqa: DTZ001 -- without a zone
        assert len(client.track_many([{"event_type": "x"}, {"no": "type"}, "text"])) == 3
        client.flush(10)
        stats = client.stats()
    assert stats.tracked == 8
    assert (stats.accepted, stats.rejected) == (2, {"invalid_field": 6})
    assert [rejection.message.split(":")[0].split(" must")[0] for rejection in refused] == [
        "page_url", "event_type", "properties", "occurred_at", "an event needs an event_type", "an event",
    ]  # fmt: skip


def test_links_are_made_and_listed():
    def console(request):
        if request.method == "POST":
            assert request.read() == b'{"url":"https://example.com","code":"hi"}'
            return httpx.Response(201, json={"id": "link_1", "short_url": "http://localhost/hi"})
        assert dict(request.url.params) == {"search": "hi"}
        return httpx.Response(200, json={"data": [{"id": "link_1"}], "meta": {"total": 1}})

    with Client(console_url="http://console", key="k", transport=httpx.MockTransport(console)) as client:
        assert (
            client.make_link("https://example.com", code="hi", title=None)["short_url"]
            == "http://localhost/hi"
        )
        assert client.links(search="hi").rows == [{"id": "link_1"}]


def test_goals_and_segments_are_saved_and_listed():
    german = ["is", "country_code", ["DE"]]

    def console(request):
        kind = request.url.path.rpartition("/")[2]
        if request.method == "POST":
            assert (
                json.loads(request.read())
                == {
                    "goals": {"page": "/blog/**", "scroll_depth": 50},
                    "segments": {"name": "Germans", "filters": [german]},
                }[kind]
            )
            return httpx.Response(201, json={"id": f"{kind}_1"})
        assert dict(request.url.params) == {"limit": "5"}
        return httpx.Response(200, json={"data": [{"id": f"{kind}_1"}], "meta": {"total": 1}})

    with Client(console_url="http://console", key="k", transport=httpx.MockTransport(console)) as client:
        assert client.save_goal(page="/blog/**", scroll_depth=50)["id"] == "goals_1"
        assert client.save_segment("Germans", [german])["id"] == "segments_1"
        assert client.goals(limit=5).rows == [{"id": "goals_1"}]
        assert client.segments(limit=5).rows == [{"id": "segments_1"}]


def test_an_export_is_in_its_place_once_it_is_whole(tmp_path):
    file = tmp_path / "events.csv"

    def console(request):
        assert dict(request.url.params) == {"format": "csv", "start_date": "2026-01-01", "for": "excel"}
        return httpx.Response(200, content=b"a,b\r\n1,2\r\n", headers={"Footfall-Rows": "1"})

    with Client(console_url="http://console", key="k", transport=httpx.MockTransport(console)) as client:
        assert client.export(file, start_date=date(2026, 1, 1), **{"for": "excel"}) == 1
        assert file.read_bytes() == b"a,b\r\n1,2\r\n"
        with pytest.raises(ValueError, match="must end with"):
            client.export(tmp_path / "events.txt")

    def refuses(_):
        return httpx.Response(403, json={"detail": "this key may not read"})

    client = Client(console_url="http://console", key="k", transport=httpx.MockTransport(refuses))
    with client, pytest.raises(Denied, match="may not read"):
        client.export(tmp_path / "other.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]
