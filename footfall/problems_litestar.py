"""The console's exception handlers: every error becomes a problem document (`problems.py`).

Litestar's own messages for wrong parameters and bodies are taken apart so that the answer
names the field.
"""

import re
import traceback
from typing import Any, cast

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET, Struct, UnsetType

from footfall import problems
from footfall.errors import Invalid

_log = structlog.get_logger()

# msgspec: "Object missing required field `url`", "Object contains unknown field `ur`".
_NAMED_FIELD = re.compile(r"(?:required|unknown) field `([^`]+)`")
# Litestar: "Missing required query parameter 'interval' for path /api/v1/...".
_NAMED_PARAMETER = re.compile(r"parameter '([^']+)'")
# msgspec: "Expected `str`, got `int`": the words of Python, where the caller wrote JSON.
_TYPE = re.compile(r"`([^`]+)`")
# msgspec: "Expected `int`, got `str` - at `$.pagination.limit`".
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_IN_JSON = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "datetime": "a time",
}
_OWN_WORDS = {
    404: "there is nothing at this path",
    405: "this path does not know this method; the header Allow lists those it knows",
    413: "the body is too large",
}


class Problem(Struct, frozen=True):
    """A refusal (RFC 9457). `field` names what is wrong, as it was written."""

    type: str
    title: str
    status: int
    detail: str
    field: str | UnsetType = UNSET
    instance: str | UnsetType = UNSET


def refusals(words: dict[int, str]) -> dict[int, ResponseSpec]:
    """For the API documentation: the error answers of a route, and when each status is given."""
    kind = cast("Any", problems.MEDIA_TYPE)  # Litestar's types know the media types of its own enum only
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=text, media_type=kind)
        for status, text in words.items()
    }


async def checked(request: Request[Any, Any, Any], kind: type[Any]) -> None:
    """Refuse a body with text where a number or true and false belong: Litestar takes it. Raises Invalid."""
    try:
        msgspec.json.decode(await request.body(), type=kind)
    except msgspec.ValidationError as error:
        message = str(error)
        place = _PLACE.search(message)
        raise Invalid(_said_as_json(_PLACE.sub("", message)), field=place[1] if place else "") from None


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Answer `error`. Unexpected ones are logged with their trace, never shown."""
    instance = request.url.path
    if isinstance(error, HTTPException) and error.status_code < 500:
        field, detail = _explain(error)
        body = problems.document(error.status_code, detail, field=field, instance=instance)
        headers = error.headers or {}
    elif isinstance(error, RecursionError):
        body = problems.document(400, "the body is nested too deeply", instance=instance)
        headers = {}
    else:
        body, headers = problems.problem(error, instance), problems.headers_of(error)
        if body["status"] == 500:
            # As text: some renderers of exc_info show local variables, and one of them holds the key.
            trace = "".join(traceback.format_exception(error))
            _log.error("unexpected error", method=request.method, path=instance, trace=trace)
    return Response(body, status_code=body["status"], headers=headers, media_type=problems.MEDIA_TYPE)


def _explain(error: HTTPException) -> tuple[str, str]:
    """The field and the words for one of Litestar's own refusals."""
    if isinstance(error.extra, list) and error.extra:
        first = cast("dict[str, str]", error.extra[0])
        message, key = first.get("message", error.detail), first.get("key", "")
        if key == "data":  # the body as a whole
            key = ""
            if message in {"'data'", "`data`"}:
                return "", "the body is empty; a JSON object is needed"
        inside = _NAMED_FIELD.search(message)
        field = ".".join(part for part in (key, inside[1] if inside else "") if part)
        return field, _said_as_json(message)
    if isinstance(error.__cause__, SerializationException):
        return "", f"the body is not valid JSON: {error.detail}"
    named = _NAMED_PARAMETER.search(error.detail)
    if named:
        return named[1], error.detail.split(" for path ", 1)[0]
    return "", _OWN_WORDS.get(error.status_code, error.detail)


def _said_as_json(message: str) -> str:
    return _TYPE.sub(lambda name: _IN_JSON.get(name[1], f"'{name[1]}'"), message)


exception_handlers: dict[int | type[Exception], Any] = {Exception: handle}
"""For `Litestar(exception_handlers=...)`."""
