"""Visitors by channel."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="Channel",
    about="One channel.",
    by=(By("channel", "search, social, ai, email, internal, direct, other, ..."),),
    order_by=MOST_VISITORS,
).report(
    name="channels",
    path="/api/v1/analytics/channels",
    title="Visitors by channel",
    description="What kind of place led to the events.",
)
