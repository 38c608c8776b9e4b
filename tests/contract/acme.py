"""A console with a week of events of two workspaces, and how its refusals look."""

from datetime import UTC, datetime

from footfall.query.reports import REPORTS
from tests.truth import columns_of, make_events

FIRST = round(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
DAY = 86_400_000
RANGE = {"start_date": "2026-03-01", "end_date": "2026-03-07"}

BY_NAME = {report.name: report for report in REPORTS}


class Acme:
    """The console with a week of events of two workspaces."""

    def __init__(self, console):
        self.console = console
        self.acme, self.other = console.workspace("acme"), console.workspace("other")
        self.link, self.others_link = console.link(self.acme), console.link(self.other)
        self.events = [
            *make_events(7, 500, FIRST, FIRST + 7 * DAY, [self.acme], links=(self.link.id,)),
            *make_events(8, 500, FIRST, FIRST + 7 * DAY, [self.other], links=(self.others_link.id,)),
        ]
        console.insert(columns_of(self.events))
        self.key, self.others_key = console.key(self.acme, "read"), console.key(self.other, "read")

    def path(self, report, link=None):
        return report.path.replace("{id:str}", (link or self.link).id)

    def ask(self, report, **params):
        return self.console.get(self.path(report), self.key, RANGE | required(report) | params)


def required(report):
    """What a report cannot be asked without."""
    return {"property": "plan"} if report.name == "property_values" else {}


def assert_problem(answer, status, field=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    if field is not None:
        assert body["field"] == field
    return body
