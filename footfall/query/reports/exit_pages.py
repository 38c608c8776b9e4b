"""The pages on which visits end."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing

REPORT = Listing(
    row="ExitPage",
    about="One page.",
    by=(By("exit_page", "Path of the last page view of the visit in the range."),),
    figures=figures("sessions", "visitors"),
    where=(is_not("exit_page", ""),),
).report(
    name="exit_pages",
    path="/api/v1/analytics/exit-pages",
    title="Visits by exit page",
    description="Where visits with a page view ended, or where they are now.",
)
