"""Visitors by browser."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="Browser", about='One browser; "" is unknown.', by=(By("browser"),), order_by=MOST_VISITORS
).report(
    name="browsers",
    path="/api/v1/analytics/browsers",
    title="Visitors by browser",
    description="The browsers of all events; for versions filter on one and ask `POST /v1/query`.",
)
