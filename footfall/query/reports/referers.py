"""Clicks by what led to them."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import CLICKS, Listing

REFERERS = Listing(
    row="Referer",
    about="One referring host.",
    by=(
        By("referer_host", "`direct` when the click named none."),
        By("channel", "search, social, ai, email, internal, direct, other, ..."),
    ),
    figures=CLICKS,
    types=("click",),
)

REPORT = REFERERS.report(
    name="referers",
    path="/api/v1/analytics/referers",
    title="Clicks by referring host",
    description="The hosts that led to clicks, with their channel: search, social, email, ...",
)
