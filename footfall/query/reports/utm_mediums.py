"""Visitors by utm_medium."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="UtmMedium",
    about="One value of `utm_medium`.",
    by=(By("utm_medium"),),
    order_by=MOST_VISITORS,
    where=(is_not("utm_medium", ""),),
).report(
    name="utm_mediums",
    path="/api/v1/analytics/utm-mediums",
    title="Visitors by utm_medium",
    description="Events whose URL, or whose link's target, named a `utm_medium`; others are left out.",
)
