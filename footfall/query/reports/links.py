"""Clicks by link, and visits to codes that no link has."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from footfall.query.language.params import ListParams
from footfall.query.language.question import Comparison
from footfall.query.reporting.columns import By, ReportColumn, distinct_counts
from footfall.query.reporting.listing import CLICKS, Listing, only_of
from footfall.query.reporting.report import Answer, Context, Report

_LINKS = Listing(
    row="LinkFigures",
    about="One link.",
    by=(By("link_id"), By("short_code")),
    figures=CLICKS,
    types=("click",),
    where=(Comparison("link_id", "is_not", ("",)),),
)


class LinkClicks(Struct, frozen=True):
    """One link."""

    link_id: Annotated[str, Meta(description="Its id.")]
    short_code: Annotated[str, Meta(description="Its code.")]
    title: Annotated[str, Meta(description='Its title as it is now; "" without one, or when it was deleted.')]
    clicks: int
    visitors: int


async def _run(ctx: Context[ListParams]) -> Answer[list[Any]]:
    found, rows = await _LINKS.find(ctx, ctx.params.limit, ctx.params.offset)
    links = await ctx.find_links(ctx.workspace_id, [row["link_id"] for row in rows])
    data: list[Any] = []
    for row in rows:
        link = links.get(row["link_id"])
        if link and not row["short_code"]:  # of an event that named the link by its id alone
            row["short_code"] = link.code
        data.append(LinkClicks(title=link.title if link else "", **row))
    return ctx.answer(
        data,
        found,
        uniques=distinct_counts(_LINKS.figures, rows),
        total=found.total,
        warnings=only_of(_LINKS.types, ctx),
    )


LINKS = Report(
    name="links",
    path="/api/v1/analytics/links",
    title="Clicks by link",
    description="The links that were clicked, most clicked first; also those that were deleted since.",
    params=ListParams,
    data=list[LinkClicks],
    run=_run,
)


ORPHAN_CLICKS = Listing(
    row="OrphanClick",
    about="One code that somebody followed.",
    by=(
        By("domain", 'The host that was asked; "" when unknown.', dimension="hostname"),
        By("short_code", "The code that no link has, or had then."),
    ),
    figures=(
        ReportColumn("clicks", "events", "Visits to this code."),
        ReportColumn("visitors", "visitors"),
        ReportColumn("last_at", "last_at", "The last visit in the range."),
    ),
    types=("orphan_click",),
).report(
    name="orphan_clicks",
    path="/api/v1/analytics/orphan-clicks",
    title="Orphan clicks",
    description="Visits to short codes without a link: typing errors, deleted links, printed mistakes.",
)
