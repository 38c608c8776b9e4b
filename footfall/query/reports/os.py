"""Visitors by operating system."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="OperatingSystem", about='One system; "" is unknown.', by=(By("os"),), order_by=MOST_VISITORS
).report(
    name="os",
    path="/api/v1/analytics/os",
    title="Visitors by operating system",
    description="The operating systems of all events.",
)
