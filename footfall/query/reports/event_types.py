"""Events by type."""

from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing

REPORT = Listing(
    row="EventType",
    about="One type of events.",
    by=(By("event_type", "A kind that Footfall knows, or one of your own."),),
    figures=figures("events", "visitors", "sessions"),
).report(
    name="event_types",
    path="/api/v1/analytics/events",
    title="Events by type",
    description="How many events of each type there are, of known kinds and of your own.",
)
