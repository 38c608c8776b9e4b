"""Reports as CSV, and CSV for Excel: of reports, of answers, of events."""

import csv
import io
import json

import pytest

from footfall.query.reports import REPORTS
from tests.contract.acme import DAY, FIRST, RANGE, assert_problem
from tests.truth import columns_of, make_events

ASKED = RANGE | {"include_bots": "true"}
EXCEL = {"format": "csv", "for": "excel"}
SEVERAL = {"link", "aggregates"}
ONE_LIST = [report for report in REPORTS if report.name not in SEVERAL]


def rows(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.content.decode("utf-8-sig")
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert answer.headers["footfall-rows"] == str(len(found))
    return found


def cell(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" and value else str(value)


def same(shown, value):
    if isinstance(value, float):
        return float(shown) == value
    if isinstance(value, dict):
        return json.loads(shown) == value
    return shown == cell(value)


@pytest.mark.parametrize("report", ONE_LIST, ids=lambda report: report.name)
def test_the_rows_are_those_of_the_json(acme, report):
    answer = acme.ask(report, **ASKED).json()["data"]
    wanted = answer if isinstance(answer, list) else [answer]
    found = rows(acme.ask(report, **ASKED, format="csv"))
    assert len(found) == len(wanted)
    for row, values in zip(found, wanted, strict=True):
        assert list(row) == list(wanted[0])
        assert all(same(row[name], value) for name, value in values.items()), (row, values)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/csv, application/json;q=0.5", "text/csv; charset=utf-8"),
        ("application/json, text/csv;q=0.5", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("*/*", "application/json"),
    ],
)
def test_the_header_accept_decides_where_no_format_is_asked_for(acme, accept, kind):
    path = "/api/v1/analytics/countries"
    answer = acme.console.get(path, acme.key, ASKED, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert "Accept" in answer.headers["vary"]
    told = acme.console.get(path, acme.key, ASKED | {"format": "json"}, headers={"Accept": accept})
    assert told.headers["content-type"] == "application/json"


def test_a_file_says_what_it_is_and_what_its_numbers_do_not_mean(acme):
    answer = acme.console.get("/api/v1/analytics/countries", acme.key, ASKED | {"format": "csv"})
    assert (
        answer.headers["content-disposition"] == 'attachment; filename="countries_2026-03-01_2026-03-07.csv"'
    )
    assert "day" in answer.headers["footfall-warnings"]


def test_a_report_of_several_lists_says_that_it_has_no_csv(acme):
    for report in REPORTS:
        if report.name in SEVERAL:
            problem = assert_problem(acme.ask(report, format="csv"), 400, "format")
            assert "several lists" in problem["detail"]


@pytest.mark.parametrize("path", ["/api/v1/analytics/countries", "/api/v1/export/events"])
def test_excel_takes_csv_only(acme, path):
    asked = ASKED | {"for": "excel"}
    if "export" in path:
        asked |= {"format": "parquet"}
    assert_problem(acme.console.get(path, acme.key, asked), 400, "for")
    assert_problem(acme.console.get(path, acme.key, asked | EXCEL | {"for": "lotus"}), 400, "for")


def test_times_are_as_excel_reads_them_in_reports_answers_and_events(acme):
    series = rows(
        acme.console.get("/api/v1/analytics/timeseries", acme.key, RANGE | {"interval": "hour"} | EXCEL)
    )
    assert series[0]["bucket"] == "2026-03-01 00:00:00"
    events = acme.console.get("/api/v1/export/events", acme.key, RANGE | EXCEL | {"timezone": "Asia/Kolkata"})
    assert events.content.startswith(b"\xef\xbb\xbf")
    for row in rows(events):
        assert len(row["occurred_at"]) == len("2026-03-01 00:00:00")
        assert row["occurred_at"][10] == " "


def test_amounts_are_in_units_in_a_column_of_each_currency(acme):
    workspace = acme.console.workspace("shop")
    events = make_events(11, 60, FIRST, FIRST + DAY, [workspace])
    for number, event in enumerate(events):
        currency = ("EUR", "JPY", "KWD")[number % 3]
        event |= {
            "event_type": "conversion",
            "is_bot": False,
            "properties": json.dumps({"name": "order", "value_minor": 1999 + number, "currency": currency}),
        }
    acme.console.insert(columns_of(events))
    key = acme.console.key(workspace, "read")
    body = {
        "metrics": ["revenue", "conversion_rate"],
        "dimensions": ["device_type"],
        "date_range": ["2026-03-01", "2026-03-07"],
        "compare": "previous_period",
    }
    wanted = acme.console.post("/v1/query", body, key).json()["results"]
    currencies = {currency for row in wanted for currency in row["metrics"][0]}
    assert currencies == {"EUR", "JPY", "KWD"}
    digits = {"EUR": 2, "JPY": 0, "KWD": 3}
    answer = acme.console.post("/v1/export", body | EXCEL, key)
    assert answer.content.startswith(b"\xef\xbb\xbf")
    for row, values in zip(rows(answer), wanted, strict=True):
        assert {f"revenue_{currency}" for currency in currencies} <= set(row)
        for currency in currencies:
            minor = values["metrics"][0].get(currency, 0)
            unit = 10 ** digits[currency]
            assert row[f"revenue_{currency}"] == f"{minor / unit:.{digits[currency]}f}"
        assert len(row["conversion_rate"].partition(".")[2]) <= 4
    assert "revenue" not in rows(answer)[0]
