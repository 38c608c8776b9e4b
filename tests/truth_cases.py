"""Random questions about random events: what the property tests of the reports draw from."""

from datetime import datetime

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.truth import (
    BOTS,
    CAMPAIGNS,
    COUNTRIES,
    CUSTOM,
    DEVICES,
    LANGUAGES,
    NETWORKS,
    PAGES,
    PLACES,
    REFERRERS,
    Truth,
    columns_of,
    make_events,
)

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

examples = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # events come from a seed: there is nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# The parameter, the field it filters on, and values of it.
FILTERS = [
    ("site_id", "site_id", ["", "site_1", "another", "site_x"]),
    ("link_id", "link_id", ["mine", "link_2", ""]),
    ("event_type", "event_type", ["click", "page_view", "widget_click", "widget_impression", CUSTOM]),
    ("country_code", "country_code", COUNTRIES),
    ("country", "country_code", COUNTRIES),
    ("device", "device_type", [each[0] for each in DEVICES]),
    ("browser", "browser", [each[1] for each in DEVICES]),
    ("os", "os", ["Windows", "iOS", "windows"]),
    ("referrer_host", "referrer_host", [each[0] for each in REFERRERS]),
    ("channel", "channel", [each[1] for each in REFERRERS]),
    ("page_path", "page_path", ["", *PAGES]),
    ("utm_source", "utm_source", CAMPAIGNS),
    ("utm_campaign", "utm_campaign", CAMPAIGNS),
    ("language", "language", LANGUAGES),
    ("region", "region", [each[0] for each in PLACES]),
    ("city", "city", [each[1] for each in PLACES]),
    ("asn", "asn", NETWORKS),
    ("bot_name", "bot_name", [each[0] for each in BOTS]),
    ("mapping_id", "mapping_id", ["m0", "m1", "m2", ""]),
    ("post_id", "post_id", ["100", "101", ""]),
    ("widget_index", "widget_index", ["0", "1", ""]),
    ("property:plan", "property:plan", ["pro", "free", ""]),
    ("property:big", "property:big", ["9007199254740993", ""]),
]


def filters(pool=FILTERS):
    """Up to three filters, each {parameter: (field, whether it is, values)}."""
    one = st.sampled_from(pool).flatmap(
        lambda each: st.tuples(
            st.just(each[0]),
            st.tuples(
                st.just(each[1]),
                st.booleans(),
                st.lists(st.sampled_from(each[2]), min_size=1, max_size=3),
            ),
        )
    )
    return st.lists(one, max_size=3, unique_by=lambda each: each[1][0]).map(dict)


def spelled(is_, values):
    """The filter in a query string."""
    texts = [escaped(str(value)) for value in values]
    return ("" if is_ else "-") + ",".join(texts)


def escaped(value):
    text = value.replace("\\", "\\\\").replace(",", "\\,")
    return '""' if not text else f"\\{text}" if text.startswith("-") else text


class Case:
    """Events of three workspaces in the store, and one of them asked about."""

    _number = 0

    def __init__(self, console, seed, first_day, zone, days, asked, bots):
        Case._number += 1
        self.console = console
        self.workspaces = [console.workspace(name) for name in ("acme", "other", "third")]
        self.workspace = self.workspaces[0]
        self.link = console.link(self.workspace)
        mine = {"mine": self.link.id}
        asked = {
            name: (field, is_, [mine.get(value, value) for value in values])
            for name, (field, is_, values) in asked.items()
        }
        noon = round(datetime.fromisoformat(first_day + "T12:00:00+00:00").timestamp() * 1000)
        first = noon - 2 * DAY
        self.events = make_events(
            seed,
            EVENTS,
            first,
            first + (days + 4) * DAY,
            self.workspaces,
            links=(self.link.id, "link_2"),
            seq=Case._number << 20,
        )
        console.insert(columns_of(self.events))
        self.zone = zone
        last_day = (
            datetime.fromordinal(datetime.fromisoformat(first_day).toordinal() + days - 1).date().isoformat()
        )
        self.params = {"start_date": first_day, "end_date": last_day, "timezone": zone}
        self.params |= {name: spelled(is_, values) for name, (_, is_, values) in asked.items()}
        self.params |= {} if bots is None else {"include_bots": bots}
        self.filters = {field: (is_, values) for field, is_, values in asked.values()}
        answer = self.ask("overview")
        self.start, self.end = (
            round(datetime.fromisoformat(answer["meta"]["query"][name]).timestamp() * 1000)
            for name in ("start", "end")
        )
        self.bots = bots == "true"
        self.truth = self.truth_with(self.filters)

    def truth_with(self, filters):
        """The truth about the same events, filtered otherwise."""
        return Truth(
            self.events, self.workspace, self.start, self.end, self.zone, bots=self.bots, filters=filters
        )

    def ask(self, report, group="/api/v1/analytics/", **params):
        key = self.console.key(self.workspace, "read")
        answer = self.console.get(group + report, key, self.params | params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def cases(console, pool=FILTERS):
    return st.builds(
        Case,
        st.just(console),
        st.integers(0, 2**32),
        st.sampled_from(AROUND),
        st.sampled_from(ZONES),
        st.integers(1, 9),
        filters(pool),
        st.sampled_from([None, "true", "false"]),
    )
