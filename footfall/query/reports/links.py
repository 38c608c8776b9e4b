"""Clicks by link."""

from footfall.query.language.question import Comparison
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import CLICKS, Listing

REPORT = Listing(
    row="LinkClicks",
    about="One link.",
    by=(By("link_id", "Its id."), By("short_code", "Its code.")),
    figures=CLICKS,
    types=("click",),
    where=(Comparison("link_id", "is_not", ("",)),),
).report(
    name="links",
    path="/api/v1/analytics/links",
    title="Clicks by link",
    description="The links that were clicked, most clicked first; also those that were deleted since.",
)
