"""Errors as problem documents (RFC 9457)."""

import json

import pytest

from footfall import errors
from footfall.problems import document, headers_of, problem, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid("no", field="url"), 400),
        (errors.TooLarge("no"), 413),
        (errors.Denied("no"), 401),
        (errors.Denied("no", known=True), 403),
        (errors.NotFound("no"), 404),
        (errors.Conflict("no", field="code"), 409),
        (errors.LogFull("no"), 503),
        (errors.StoreDown("no"), 503),
    ],
)
def test_an_error_is_told_in_its_own_words(error: errors.FootfallError, status: int):
    body = problem(error, "/v1/events")
    assert (status_of(error), body["status"]) == (status, status)
    assert (body["detail"], body["instance"], body["type"]) == ("no", "/v1/events", "about:blank")
    assert body.get("field", "") == getattr(error, "field", "")


@pytest.mark.parametrize("error", [ValueError("secret"), errors.Misconfigured("secret"), RecursionError()])
def test_of_our_own_failures_nothing_is_told(error: Exception):
    assert problem(error)["status"] == 500
    assert "secret" not in str(problem(error))


def test_headers_say_what_to_do_next():
    assert headers_of(errors.LogFull("no", retry_after=2.1)) == {"Retry-After": "3"}
    assert headers_of(errors.LogFull("no", retry_after=0.01)) == {"Retry-After": "1"}
    assert headers_of(errors.Denied("no"))["WWW-Authenticate"].startswith("Bearer")
    assert headers_of(errors.Denied("no", known=True)) == {}


def test_whatever_was_sent_can_be_quoted():
    body = document(400, "bad \ud800 " + "x" * 100_000, field="\udfff", instance="/\ud800")
    assert len(body["detail"]) < 1100
    json.dumps(body, ensure_ascii=False).encode()
