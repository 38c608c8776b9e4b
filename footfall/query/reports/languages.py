"""Visitors by language."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="Language",
    about="One language.",
    by=(By("language", 'As the browser names it; "" when unknown.'),),
    order_by=MOST_VISITORS,
).report(
    name="languages",
    path="/api/v1/analytics/languages",
    title="Visitors by language",
    description="The languages that browsers ask for first.",
)
