"""What the console refuses, and how: every error becomes a problem document (`problems.py`).

Bodies are read strictly, before Litestar reads them. Its own messages for wrong parameters are
taken apart so that the answer names the field.
"""

import difflib
import re
from functools import lru_cache
from typing import Any, cast

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET, Struct, UnsetType

from footfall import problems
from footfall.errors import Invalid
from footfall.json_words import in_words

_log = structlog.get_logger()

# msgspec: "Object missing required field `url`", "Object contains unknown field `ur`".
_NAMED_FIELD = re.compile(r"(?:required|unknown) field `([^`]+)`")
# Litestar: "Missing required query parameter 'interval' for path /api/v1/...".
_NAMED_PARAMETER = re.compile(r"parameter '([^']+)'")
# msgspec: "Expected `int`, got `str` - at `$.pagination.limit`".
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_MAX_LISTS = 10_000  # and objects, of a body: each costs a microsecond to read, without a pause
_NO_FIELD = "Object contains unknown field"
_NO_CHOICE = "Invalid enum value"
_HUNG_UP = "client disconnected prematurely"  # Litestar's words; nobody reads the answer
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


async def strict_body(request: Request[Any, Any, Any]) -> None:
    """For `Litestar(before_request=...)`: refuse a body that is not what the route's `data` says.

    Litestar by itself takes text for numbers, numbers for text's times, and 1 for true. Raises Invalid.
    """
    data = request.route_handler.parsed_data_field
    if data is not None:
        body = await request.body()
        if body.count(b"[") + body.count(b"{") > _MAX_LISTS:
            raise Invalid(f"the body has too many lists and objects; at most {_MAX_LISTS:,} are allowed")
        # It may have taken its time, and the key was revoked meanwhile.
        await cast("Any", request.route_handler).authorize_connection(request)
        decode_strictly(body, data.annotation)


def decode_strictly(body: bytes, kind: Any) -> Any:
    """What a body says, as a `kind`. Raises Invalid, with the field as it was written."""
    if not body:
        raise Invalid("the body is empty; a JSON object is needed")
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        message = str(error)
        place, inside = _PLACE.search(message), _NAMED_FIELD.search(message)
        field = ".".join(part[1] for part in (place, inside) if part)
        if message.startswith(_NO_CHOICE):
            message = _choices(kind, field) or message
        elif message.startswith(_NO_FIELD):
            message = f"unknown field{'' if place else _near(kind, field)}"
        raise Invalid(in_words(message, field), field=field) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is not valid JSON: {error}") from None


def _choices(kind: Any, field: str) -> str:
    """What is allowed in a field of a Struct that takes one of some names."""
    for each in msgspec.structs.fields(kind):
        info = msgspec.inspect.type_info(each.type)
        info = info.type if isinstance(info, msgspec.inspect.Metadata) else info
        if each.encode_name == field and isinstance(info, msgspec.inspect.LiteralType):
            return f"Expected one of {', '.join(map(str, info.values))}"
    return ""


def _near(kind: Any, field: str) -> str:
    near = difflib.get_close_matches(field, [each.encode_name for each in msgspec.structs.fields(kind)], 1)
    return f"; did you mean {near[0]}?" if near else ""


@lru_cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


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
        if body["status"] == 500 and getattr(error, "detail", "") != _HUNG_UP:
            # Without local variables, one of which holds the key: see `runtime/logs.py`.
            _log.error("unexpected error", method=request.method, path=instance, exc_info=error)
    return Response(body, status_code=body["status"], headers=headers, media_type=problems.MEDIA_TYPE)


def _explain(error: HTTPException) -> tuple[str, str]:
    """The field and the words for one of Litestar's own refusals."""
    if isinstance(error.extra, list) and error.extra:
        first = cast("dict[str, str]", error.extra[0])
        return first.get("key", ""), in_words(first.get("message", error.detail))
    named = _NAMED_PARAMETER.search(error.detail)
    if named:
        return named[1], error.detail.split(" for path ", 1)[0]
    return "", _OWN_WORDS.get(error.status_code, error.detail)


exception_handlers: dict[int | type[Exception], Any] = {Exception: handle}
"""For `Litestar(exception_handlers=...)`."""
