"""Pages: how often each was viewed."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing

REPORT = Listing(
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
