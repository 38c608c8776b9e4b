"""What a refused request is answered with: problem documents after RFC 9457.

Plain functions without a web framework, so that the door uses them too; the console's
handlers are in `problems_litestar.py`.
"""

from http import HTTPStatus
from math import ceil
from typing import Any

from footfall.errors import (
    Conflict,
    Damaged,
    Denied,
    Invalid,
    Misconfigured,
    NotFound,
    Retryable,
    TooLarge,
    TooMany,
)

MEDIA_TYPE = "application/problem+json"
_LONGEST_DETAIL = 1000  # a detail may quote what the caller sent


def status_of(error: BaseException) -> int:
    """The HTTP status that answers `error`; 500 for everything that is not a FootfallError."""
    match error:
        case TooLarge():
            return 413
        case Invalid():
            return 400
        case Denied(known=False):
            return 401
        case Denied():
            return 403
        case NotFound():
            return 404
        case Conflict():
            return 409
        case TooMany():
            return 429
        case Retryable():
            return 503
        case _:
            return 500


def problem(error: BaseException, instance: str = "") -> dict[str, Any]:
    """The problem document of `error`; `instance` is the path that was asked for.

    The message of a FootfallError is written for the caller. Of any other error, and of a
    wrong installation, the caller learns only that it happened: the rest is for the log.
    """
    status = status_of(error)
    if isinstance(error, Damaged):  # its message names a file
        return document(status, "what is asked for cannot be read now", instance=instance)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        wrong = "is misconfigured" if isinstance(error, Misconfigured) else "failed"
        return document(status, f"the server {wrong}; its log says why", instance=instance)
    field = error.field if isinstance(error, Invalid | Conflict) else ""
    return document(status, str(error), field=field, instance=instance)


def document(status: int, detail: str, *, field: str = "", instance: str = "") -> dict[str, Any]:
    """A problem document: type, title, status, detail, and where known field and instance.

    `field` is our extension member: the name of what is wrong as the caller wrote it. Lone
    surrogates, which no JSON can carry, are replaced.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _clean(detail),
    }
    if field:
        body["field"] = _clean(field)
    if instance:
        body["instance"] = _clean(instance)
    return body


def headers_of(error: BaseException) -> dict[str, str]:
    """Headers that belong to the answer: when to try again, or how to authenticate."""
    if isinstance(error, Retryable):
        return {"Retry-After": str(max(1, ceil(error.retry_after)))}
    if isinstance(error, Denied) and not error.known:
        return {"WWW-Authenticate": 'Bearer realm="footfall"'}
    return {}


def _clean(text: str) -> str:
    short = text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "..."
    return short.encode("utf-8", "replace").decode()
