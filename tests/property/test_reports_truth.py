"""Every report against plain Python, to the last number, over a real store."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.console import open_console
from tests.truth import Truth, columns_of, make_events

# Weeks around changes of the clock: Berlin 29 March, St. John's 8 March, Lord Howe 5 April,
# Berlin 25 October, St. John's 1 November 2026.
AROUND = ["2026-03-05", "2026-03-26", "2026-04-01", "2026-10-20", "2026-10-28", "2026-07-01"]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
]
DAY = 86_400_000
EVENTS = 400

_examples = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # events come from a seed: there is nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as opened:
        yield opened


questions = st.fixed_dictionaries(
    {},
    optional={
        "site_id": st.sampled_from(["site_1", "site_2", "site_x"]),
        "link_id": st.sampled_from(["mine", "link_2"]),
        "event_type": st.sampled_from(["click", "page_view", 'it\'s "custom"']),
        "include_bots": st.sampled_from(["true", "false"]),
    },
)


class Case:
    """Events of three workspaces in the store, and one of them asked about."""

    _number = 0

    def __init__(self, console, seed, first_day, zone, days, question):
        Case._number += 1
        self.console = console
        self.workspaces = [console.workspace(name) for name in ("acme", "other", "third")]
        self.workspace = self.workspaces[0]
        self.link = console.link(self.workspace)
        if question.get("link_id") == "mine":
            question["link_id"] = self.link.id
        noon = round(datetime.fromisoformat(first_day + "T12:00:00+00:00").timestamp() * 1000)
        first = noon - 2 * DAY
        events = make_events(
            seed,
            EVENTS,
            first,
            first + (days + 4) * DAY,
            self.workspaces,
            links=(self.link.id, "link_2"),
            seq=Case._number << 20,
        )
        console.insert(columns_of(events))
        self.zone = zone
        filters = {name: value for name, value in question.items() if name != "include_bots"}
        last_day = (
            datetime.fromordinal(datetime.fromisoformat(first_day).toordinal() + days - 1).date().isoformat()
        )
        self.params = {"start_date": first_day, "end_date": last_day, "timezone": zone, **question}
        answer = self.ask("overview")
        start, end = (
            round(datetime.fromisoformat(answer["meta"]["query"][name]).timestamp() * 1000)
            for name in ("start", "end")
        )
        self.truth = Truth(
            events, self.workspace, start, end, zone, bots=question.get("include_bots") == "true", **filters
        )

    def ask(self, report, group="/api/v1/analytics/", **params):
        key = self.console.key(self.workspace, "read")
        answer = self.console.get(group + report, key, self.params | params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def cases(console):
    return st.builds(
        Case,
        st.just(console),
        st.integers(0, 2**32),
        st.sampled_from(AROUND),
        st.sampled_from(ZONES),
        st.integers(1, 9),
        questions,
    )


@_examples
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


@_examples
@given(data=st.data())
def test_series_are_those_of_plain_python_with_their_empty_buckets(console, data):
    case = data.draw(cases(console))
    for interval in ("hour", "day", "week", "month", "year"):
        expected = case.truth.timeseries(interval)
        rows = case.ask("timeseries", interval=interval)["data"]
        starts = [datetime.fromisoformat(row["bucket"]) for row in rows]
        assert starts == sorted(starts)
        found = {
            case.truth.digits(start, interval): (row["clicks"], row["events"], row["visitors"])
            for start, row in zip(starts, rows, strict=True)
        }
        assert found == expected
        assert len(rows) == len(expected)
        counts = case.ask("timeseries", "/v1/stats/", interval=interval)["data"]
        assert counts == [
            {"bucket": row["bucket"], "count": row["events"], "unique_visitors": row["visitors"]}
            for row in rows
        ]


@_examples
@given(data=st.data())
def test_widgets_and_posts_are_those_of_plain_python(console, data):
    case = data.draw(cases(console))
    expected = case.truth.widgets(["mapping_id", "device_slug"])
    answer = case.ask("widgets", "/v1/stats/")
    assert [tuple(row.values())[:5] for row in answer["data"]] == expected
    assert [row["ctr"] for row in answer["data"]] == [row[3] / row[2] if row[2] else None for row in expected]
    assert answer["meta"]["total"] == len(expected)
    one = case.ask("widgets", "/v1/stats/", mapping_id="m1")["data"]
    assert one == [row for row in answer["data"] if row["mapping_id"] == "m1"]
    posts = case.ask("posts", "/v1/stats/")["data"]
    assert [tuple(row.values()) for row in posts] == case.truth.widgets(["post_id"])
    assert case.ask("posts", "/v1/stats/", post_id="101")["data"] == [
        row for row in posts if row["post_id"] == "101"
    ]


@_examples
@given(data=st.data())
def test_the_events_themselves_come_newest_first_and_page_without_gap(console, data):
    case = data.draw(cases(console))
    wanted = case.params.get("event_type", "click")
    expected = [event["event_id"].hex() for event in case.truth.newest(wanted)]
    pages = []
    for offset in range(0, len(expected) + 1, 7):
        answer = case.ask("clicks", limit=7, offset=offset)
        assert answer["meta"]["total"] == len(expected)
        pages += answer["data"]
    assert [event["event_id"].replace("-", "") for event in pages] == expected


@_examples
@given(data=st.data())
def test_a_link_is_told_as_by_the_reports_about_it(console, data):
    case = data.draw(cases(console))
    link = case.link
    answer = case.ask(f"links/{link.id}", interval="hour", limit=1000)["data"]
    asked = case.params.pop("link_id", link.id)
    same = {} if asked == link.id else {"site_id": "none_of_them"}  # two links at once: nothing is left
    totals = case.ask("overview", event_type="click", link_id=link.id, **same)["data"]
    if case.params.get("event_type", "click") != "click":
        totals |= {"clicks": 0, "visitors": 0}
    clicks = case.ask("clicks", event_type="click", link_id=link.id, limit=1, **same)["data"]
    assert answer == {
        "link_id": link.id,
        "short_code": link.code,
        "destination_url": link.url,
        "clicks": totals["clicks"],
        "visitors": totals["visitors"],
        "last_click_at": answer["last_click_at"],
        "timeseries": case.ask("timeseries", interval="hour", link_id=link.id, **same)["data"],
        "countries": case.ask("countries", link_id=link.id, **same)["data"],
        "referers": case.ask("referers", link_id=link.id, **same)["data"],
        "devices": case.ask("devices", link_id=link.id, **same)["data"],
    }
    if totals["clicks"]:
        last = datetime.fromisoformat(clicks[0]["occurred_at"])
        assert datetime.fromisoformat(answer["last_click_at"]) == last
    else:
        assert answer["last_click_at"] is None
