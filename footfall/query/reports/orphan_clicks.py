"""Visits to short codes that do not exist."""

from footfall.query.reporting.columns import By, ReportColumn
from footfall.query.reporting.listing import Listing

REPORT = Listing(
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
