"""What answers mean, of the door and of whatever stands in front of it."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from footfall.client.answers import Again, Halve, Read, Refused, error_of, read_door, retry_after
from footfall.errors import Denied, FootfallError, Invalid, NotFound, Retryable, TooLarge
from footfall.problems import document


def problem(status, detail, **more):
    return json.dumps(document(status, detail, **more)).encode()


def test_an_answer_of_the_door():
    verdict = {
        "index": 1,
        "status": "rejected",
        "reason": "invalid_field",
        "field": "page_url",
        "message": "no",
    }
    body = json.dumps({"accepted": 1, "rejected": 1, "results": [verdict]}).encode()
    outcome = read_door(202, {}, body, 2)
    assert isinstance(outcome, Read)
    assert [(v.index, v.status, v.reason, v.field, v.message) for v in outcome.verdicts] == [
        tuple(verdict.values())
    ]


@pytest.mark.parametrize(
    "body", [b"", b"<html>Welcome to the hotel</html>", b"[]", b'{"ok":true}', b'{"accepted":"all"}']
)
def test_a_page_of_somebody_else_acknowledges_nothing(body):
    assert isinstance(read_door(200, {}, body, 2), Again)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_verdict_about_no_event_of_the_batch_is_not_believed(index):
    body = json.dumps({"accepted": 2, "results": [{"index": index, "status": "rejected"}]}).encode()
    assert isinstance(read_door(202, {}, body, 2), Again)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_passing_trouble_is_tried_again(status):
    assert read_door(status, {"retry-after": "7"}, problem(503, "the log is full"), 2) == Again(
        f"{status} the log is full", 7
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
def test_a_refusal_is_not(status):
    outcome = read_door(status, {}, problem(400, "no such site", field="site_id"), 2)
    assert outcome == Refused(f"http_{status}", "site_id", "no such site")


def test_a_redirect_says_where_to():
    outcome = read_door(301, {"location": "https://other.example/v1/events"}, b"", 2)
    assert isinstance(outcome, Refused)
    assert "https://other.example/v1/events" in outcome.message


def test_too_large():
    assert read_door(413, {}, problem(413, "at most 10"), 2) == Halve("at most 10")
    assert isinstance(read_door(413, {}, b"<html>nginx</html>", 2), Halve)


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("12", 12), (" 3 ", 3), ("-1", 0), ("soon", 0), ("9" * 400, 300), ("²", 0)]
)
def test_retry_after_seconds(text, seconds):
    assert retry_after({"retry-after": text}) == seconds


def test_retry_after_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after({"retry-after": later}) <= 100
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (413, TooLarge), (401, Denied), (404, NotFound), (503, Retryable), (500, FootfallError)],
)
def test_an_error_of_the_console(status, kind):
    error = error_of(status, {"retry-after": "4"}, problem(400, "metrics: no such", field="metrics"))
    assert type(error) is kind
    assert str(error) == "metrics: no such"
    assert getattr(error, "field", "metrics") == "metrics"
    assert getattr(error, "retry_after", 4) == 4
    assert "502" in str(error_of(502, {}, b"<html>"))
