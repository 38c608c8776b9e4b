"""From the arguments of `query` and `report` to a request to the console, and back."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict
from urllib.parse import quote

import msgspec

from footfall.client.result import Result, read_query, read_report, read_thing

DateRange = str | Sequence[str | date]
"""A preset ("7d", "month", ...), or from and to: dates, or times with offset."""


class Question(TypedDict, total=False):
    """What a query may say beside its metrics; the grammar of Plausible's Stats API v2.

    `limit` and `offset` page through the rows. `include`: `total_rows`, `time_labels`, `bots`.
    `compare`: "previous_period", "year_over_year", or from and to.
    """

    date_range: DateRange
    site_id: str | Sequence[str]
    dimensions: Sequence[str]
    filters: Sequence[Any]
    timezone: str
    week_start: str
    order_by: Sequence[tuple[str, str]]
    limit: int
    offset: int
    include: Mapping[str, bool]
    compare: DateRange


class Ask(NamedTuple):
    """A request to the console, and how to read its answer."""

    method: str
    path: str
    params: dict[str, str]
    body: bytes | None
    read: Callable[[bytes], Result]


def ask_query(metrics: Sequence[str], question: Mapping[str, Any]) -> Ask:
    """A query. Raises TypeError for a word that is none of `Question`'s."""
    unknown = set(question) - set(Question.__annotations__)
    if unknown:
        raise TypeError(
            f"query() takes {', '.join(Question.__annotations__)}; not {', '.join(sorted(unknown))}"
        )
    if isinstance(metrics, str):
        raise TypeError('metrics must be a list of names: ["visitors"]')
    body: dict[str, Any] = {"metrics": list(metrics)} | {
        name: value for name, value in question.items() if value is not None
    }
    page = {name: body.pop(name) for name in ("limit", "offset") if name in body}
    if page:
        body["pagination"] = page
    names = tuple(body.get("dimensions", ()))
    return Ask(
        "POST",
        "/v1/query",
        {},
        msgspec.json.encode(body),
        partial(read_query, dimensions=names, metrics=tuple(metrics)),
    )


def ask_report(name: str, params: Mapping[str, Any]) -> Ask:
    """A report by the end of its path: "analytics/countries", "stats/widgets"; or a whole path."""
    root = "" if name.startswith("/") else "/api/v1/" if name.startswith("analytics/") else "/v1/"
    told = {key: _param(value) for key, value in params.items() if value is not None}
    return Ask("GET", quote(root + name, safe="/~"), told, None, read_report)


def ask_links(params: Mapping[str, Any]) -> Ask:
    """The links of the workspace: `search`, `domain`, `limit`, `offset`."""
    return ask_report("/api/v1/links", params)


def ask_new_link(url: str, fields: Mapping[str, Any]) -> Ask:
    """A new link: `code`, `domain`, `title`, `tags`, `expires_at`, `pass_query`."""
    body = {"url": url} | {name: value for name, value in fields.items() if value is not None}
    return Ask("POST", "/api/v1/links", {}, msgspec.json.encode(body), read_thing)


Saved = Literal["goals", "segments"]


def ask_saved(kind: Saved, params: Mapping[str, Any]) -> Ask:
    """The goals or segments of the workspace: `limit`, `offset`."""
    return ask_report(f"/api/v1/{kind}", params)


def ask_save(kind: Saved, fields: Mapping[str, Any]) -> Ask:
    """A new goal or segment, of the fields that the API takes."""
    given = {name: value for name, value in fields.items() if value is not None}
    return Ask("POST", f"/api/v1/{kind}", {}, msgspec.json.encode(given), read_thing)


def ask_export(file: Path, params: Mapping[str, Any]) -> Ask:
    """The events of a range as a file, whose format is that of its ending unless `format` says otherwise."""
    told: dict[str, Any] = {"format": _FORMATS.get(file.suffix.lower(), ""), **params}
    if not told["format"]:
        raise ValueError(f"{file.name}: the name must end with {', '.join(_FORMATS)}, or give format")
    return ask_report("/api/v1/export/events", told)


_FORMATS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}


def _param(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ",".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- anything
    return str(value)
