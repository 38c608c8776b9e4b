"""Pages: viewed, and those on which visits begin and end."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing

PAGES = Listing(
    row="Page",
    about="One page.",
    by=(By("page_path", "Path of the page's URL."),),
    figures=figures("pageviews", "visitors"),
    types=("page_view",),
    where=(is_not("page_path", ""),),
).report(
    name="pages",
    path="/api/v1/analytics/pages",
    title="Page views by page",
    description="The paths that were viewed, on all sites that the filters leave.",
)


ENTRY_PAGES = Listing(
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


EXIT_PAGES = Listing(
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
