"""Visitors by utm_content."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="UtmContent",
    about="One value of `utm_content`.",
    by=(By("utm_content"),),
    order_by=MOST_VISITORS,
    where=(is_not("utm_content", ""),),
).report(
    name="utm_contents",
    path="/api/v1/analytics/utm-contents",
    title="Visitors by utm_content",
    description="Events whose URL, or whose link's target, named a `utm_content`; others are left out.",
)
