"""Visitors by utm_term."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="UtmTerm",
    about="One value of `utm_term`.",
    by=(By("utm_term"),),
    order_by=MOST_VISITORS,
    where=(is_not("utm_term", ""),),
).report(
    name="utm_terms",
    path="/api/v1/analytics/utm-terms",
    title="Visitors by utm_term",
    description="Events whose URL, or whose link's target, named a `utm_term`; others are left out.",
)
