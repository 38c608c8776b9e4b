"""The totals of a range."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.language.params import RangeParams
from footfall.query.reporting.report import Answer, Context, Report


class Overview(Struct, frozen=True):
    """The totals."""

    clicks: Annotated[int, Meta(description="Events of type `click`.")]
    events: Annotated[int, Meta(description="Events of all types.")]
    visitors: Annotated[int, Meta(description="Different visitors of these events.")]
    sessions: int
    links: Annotated[int, Meta(description="Links with at least one click.")]
    bots: Annotated[int, Meta(description="Events of bots in the range, left out of the rest or not.")]


async def _run(ctx: Context[RangeParams]) -> Answer[Overview]:
    totals, bots = await asyncio.gather(
        ctx.ask(ctx.question("clicks", "events", "visitors", "sessions", "links")),
        ctx.ask(ctx.question("events", bots=True)),
    )
    data = Overview(*totals.rows[0], bots=bots.rows[0][0])
    bots = bots._replace(unidentified=0, known_for_a_day=0)  # no visitor of theirs is counted here
    return ctx.answer(data, totals, bots, uniques=(data.visitors, data.sessions, data.links))


REPORT = Report(
    name="overview",
    path="/api/v1/analytics/overview",
    title="Totals",
    description="Clicks, events, visitors, sessions and clicked links of a range, and how many bots came.",
    params=RangeParams,
    data=Overview,
    run=_run,
)
