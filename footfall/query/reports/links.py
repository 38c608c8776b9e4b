"""Clicks by link, and visits to codes that no link has."""

from footfall.query.language.question import Comparison
from footfall.query.reporting.columns import By, ReportColumn
from footfall.query.reporting.listing import CLICKS, Listing

LINKS = Listing(
    row="LinkClicks",
    about="One link.",
    by=(By("link_id", "Its id."), By("short_code", "Its code.")),
    figures=CLICKS,
    types=("click",),
    where=(Comparison("link_id", "is_not", ("",)),),
).report(
    name="links",
    path="/api/v1/analytics/links",
    title="Clicks by link",
    description="The links that were clicked, most clicked first; also those that were deleted since.",
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
