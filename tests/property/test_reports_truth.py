"""Every report against plain Python, to the last number, over a real store."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.console import open_console
from tests.truth import WEEKDAYS
from tests.truth_cases import FILTERS, cases, examples

WITHOUT_LINK = [each for each in FILTERS if each[1] != "link_id"]


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as opened:
        yield opened


@examples
@given(data=st.data())
def test_overview_and_lists_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    truth = case.truth
    assert case.ask("overview")["data"] == truth.overview()
    for report, expected in (
        ("countries", truth.countries()),
        ("devices", truth.devices()),
        ("referers", truth.referers()),
    ):
        answer = case.ask(report, limit=1000)
        assert answer["data"] == expected, report
        assert answer["meta"]["total"] == len(expected)
        assert case.ask(report, limit=2, offset=1)["data"] == expected[1:3]
    for by in (["browser"], ["os", "device_type"]):
        assert case.ask("devices", by=",".join(by))["data"] == truth.devices(by)


@examples
@given(data=st.data())
def test_series_are_those_of_plain_python_with_their_empty_buckets(console, data):
    case = data.draw(cases(console))
    week_start = data.draw(st.sampled_from(WEEKDAYS))
    figures = {"clicks": "clicks", "events": "events", "visitors": "visitors"}
    for interval in ("hour", "day", "week", "month", "year"):
        expected = case.truth.timeseries(interval, figures, week_start)
        rows = case.ask("timeseries", interval=interval, week_start=week_start)["data"]
        starts = [datetime.fromisoformat(row["bucket"]) for row in rows]
        assert starts == sorted(starts)
        found = {
            case.truth.digits(start, interval, week_start): {
                name: row[name] for name in (*figures, "partial")
            }
            for start, row in zip(starts, rows, strict=True)
        }
        assert found == expected
        assert len(rows) == len(expected)
        counts = case.ask("timeseries", "/v1/stats/", granularity=interval, week_start=week_start)["data"]
        assert counts == [
            {
                "bucket": row["bucket"] if interval == "hour" else start.date().isoformat(),
                "count": row["events"],
                "unique_visitors": row["visitors"],
                "partial": row["partial"],
            }
            for start, row in zip(starts, rows, strict=True)
        ]
        ends = [datetime.fromisoformat(row["bucket_end"]) for row in rows]
        assert ends[:-1] == starts[1:]
        assert ends[-1:] > starts[-1:]


@examples
@given(data=st.data())
def test_the_events_themselves_come_newest_first_and_page_without_gap(console, data):
    case = data.draw(cases(console, [each for each in FILTERS if each[1] != "event_type"]))
    wanted = data.draw(st.sampled_from(["click", "page_view"]))
    expected = [event["event_id"].hex() for event in case.truth.newest(wanted)]

    def ids(answer):
        assert answer["meta"]["total"] == len(expected)
        return [event["event_id"].replace("-", "") for event in answer["data"]]

    pages = []
    for offset in range(0, len(expected) + 1, 7):
        pages += ids(case.ask("clicks", limit=7, offset=offset, event_type=wanted))
    assert pages == expected
    pages, cursor = [], {}
    while cursor is not None:
        answer = case.ask("clicks", limit=7, event_type=wanted, **cursor)
        pages += ids(answer)
        following = answer["meta"]["next_cursor"]
        assert len(answer["data"]) == 7 or following is None
        cursor = following and {"cursor": following}
    assert pages == expected


@examples
@given(data=st.data())
def test_a_link_is_told_as_by_the_reports_about_it(console, data):
    case = data.draw(cases(console, WITHOUT_LINK))
    link = case.link
    answer = case.ask(f"links/{link.id}", interval="hour", limit=1000)["data"]
    only = case.truth_with(case.filters | {"link_id": (True, [link.id])})
    clicks = only.clicks
    assert answer == {
        "link_id": link.id,
        "short_code": link.code,
        "destination_url": link.url,
        "title": link.title,
        "clicks": len(clicks),
        "visitors": only.figure("visitors", clicks),
        "last_click_at": answer["last_click_at"],
        "timeseries": case.ask("timeseries", interval="hour", link_id=link.id)["data"],
        "countries": only.countries()[:1000],
        "referers": only.referers(),
        "devices": only.devices(),
    }
    last = max((event["occurred_at"] for event in clicks), default=None)
    shown = answer["last_click_at"]
    assert (shown and datetime.fromisoformat(shown).timestamp() * 1000) == last
