"""Visitors by utm_term."""

from footfall.query.figures import By
from footfall.query.lists import MOST_VISITORS, Listing
from footfall.query.question import is_not

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
