"""Visitors by utm_source."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="UtmSource",
    about="One value of `utm_source`.",
    by=(By("utm_source"),),
    order_by=MOST_VISITORS,
    where=(is_not("utm_source", ""),),
).report(
    name="utm_sources",
    path="/api/v1/analytics/utm-sources",
    title="Visitors by utm_source",
    description="Events whose URL, or whose link's target, named a `utm_source`; others are left out.",
)
