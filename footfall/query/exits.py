"""How often a page is left: visits that ended on it, of the views of it.

Both are asked for by page, each under its own name: a visit has one page on which it ended, a view is of one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from footfall.query.engine import QueryResult
from footfall.query.language.question import And, Comparison, Question, renamed

EXIT, VIEWED = "exit_page", "page_path"


class Exits(NamedTuple):
    """`found`: the answers that it was made of; `rates`: by the dimensions of a row."""

    found: Sequence[QueryResult] = ()
    rates: Mapping[tuple[Any, ...], float] = {}


async def find_exits(
    question: Question, rows: Sequence[Sequence[Any]], find: Callable[[Question], Awaitable[QueryResult]]
) -> Exits:
    """The rates of these rows of a question; none where its pages were not viewed."""
    width = len(question.dimensions)
    places = [place for place, name in enumerate(question.dimensions) if name in (EXIT, VIEWED)]
    shown = tuple(Comparison(EXIT, "is", tuple(sorted({row[place] for row in rows}))) for place in places)
    asked = replace(question, where=And((question.where, *shown)), order_by=(), limit=len(rows), offset=0)
    ended, viewed = await asyncio.gather(
        find(replace(_by(asked, EXIT), metrics=("sessions",))),
        find(replace(_by(asked, VIEWED), metrics=("pageviews",))),
    )
    exits = {tuple(row[:width]): row[width] for row in ended.rows}
    views = {tuple(row[:width]): row[width] for row in viewed.rows}
    return Exits([ended, viewed], {key: exits.get(key, 0) / count for key, count in views.items() if count})


def _by(question: Question, page: str) -> Question:
    def name(field: str) -> str:
        return page if field in (EXIT, VIEWED) else field

    return replace(
        question,
        dimensions=tuple(map(name, question.dimensions)),
        where=renamed(question.where, name, lambda field: field),
    )
