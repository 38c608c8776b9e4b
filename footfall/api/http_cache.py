"""Reports as HTTP caches them: a strong ETag, and for how long an answer may be shown again."""

from hashlib import blake2b
from typing import Any

import msgspec
from litestar import Request, Response

from footfall.query.engine import CLOSED_SECONDS, is_over
from footfall.query.language.periods import Period


def cacheable(request: Request[Any, Any, Any], answer: object, period: Period) -> Response[bytes | None]:
    """The answer, or 304 when the caller has it already.

    Answers about a range that is over may be shown again for CLOSED_SECONDS; about all others
    the server is asked each time.
    """
    body = msgspec.json.encode(answer)
    etag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, max-age={CLOSED_SECONDS:.0f}" if is_over(period) else "private, no-cache",
        "Vary": "Accept, Authorization",
    }
    if _has(request.headers.get("if-none-match", ""), etag):
        return Response(None, status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _has(if_none_match: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]
