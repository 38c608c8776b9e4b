"""Words of refusals of names: what was perhaps meant comes first, then all that may be said."""

import difflib
from collections.abc import Iterable, Mapping

from footfall.errors import Invalid

_SHOWN = 50  # characters of what a caller wrote

_ELSEWHERE: Mapping[str, str] = {
    "page": "page_path",
    "source": "referrer_host",
    "referrer": "referrer",
    "device": "device_type",
    "country": "country_code",
    "country_name": "country",
    "hostname": "page_url",
    "name": "event_type",
    "visits": "sessions",
    "views_per_visit": "views_per_session",
    "visit_duration": "session_duration",
    "total_revenue": "revenue",
    "views": "pageviews",
    "bounces": "bounce_rate",
    "equals": "is",
    "contain": "contains",
    "regex": "matches",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "=": "is",
    "==": "is",
    "!=": "is_not",
}
"""What Plausible and Umami, or languages of programs, call things, without `visit:` and `event:`."""


def hint(name: str, known: Iterable[str]) -> str:
    """What to add to a refusal: which of the `known` was perhaps meant, or nothing."""
    known = tuple(known)
    bare = name.rpartition(":")[2]
    if name.startswith(("event:props:", "props:")):
        return f"; did you mean property:{bare[:_SHOWN]}?"
    if (ours := _ELSEWHERE.get(bare)) in known:
        return f"; did you mean {ours}?"
    for spelled in dict.fromkeys((name[:_SHOWN], bare[:_SHOWN])):
        folded = spelled.lower().replace("-", "_").replace(" ", "_")
        if near := difflib.get_close_matches(folded, known, 1):
            return f"; did you mean {near[0]}?"
    return ""


def unknown(field: str, name: str, known: Iterable[str], more: str = "") -> Invalid:
    """The refusal of a name that is none of the `known`; `more`: what else may be said, behind these."""
    known = tuple(known)
    meant = hint(name, known) or "."
    return Invalid(
        f"{field}: {name[:_SHOWN]!r} is not known{meant} Known are {', '.join(known)}{more}", field=field
    )
