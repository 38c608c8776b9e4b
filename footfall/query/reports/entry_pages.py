"""The pages on which visits begin."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing

REPORT = Listing(
    row="EntryPage",
    about="One page.",
    by=(By("entry_page", "Path of the first page view of the visit in the range."),),
    figures=figures("sessions", "visitors", "bounce_rate"),
    where=(is_not("entry_page", ""),),
).report(
    name="entry_pages",
    path="/api/v1/analytics/entry-pages",
    title="Visits by entry page",
    description="Where visits with a page view began. A visit ends after 30 minutes without an event.",
)
