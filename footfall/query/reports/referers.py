"""What led to events: referring hosts, and their channels."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import CLICKS, MOST_VISITORS, Listing

CLICKS_BY_REFERER = Listing(
    row="Referer",
    about="One referring host.",
    by=(
        By("referer_host", "`direct` when the click named none."),
        By("channel", "search, social, ai, email, paid_search, internal, direct, other, ..."),
    ),
    figures=CLICKS,
    types=("click",),
)

REFERERS = CLICKS_BY_REFERER.report(
    name="referers",
    path="/api/v1/analytics/referers",
    title="Clicks by referring host",
    description="The hosts that led to clicks, with their channel: search, social, email, ...",
)


CHANNELS = Listing(
    row="Channel",
    about="One channel.",
    by=(By("channel", "search, social, ai, email, paid_search, internal, direct, other, ..."),),
    order_by=MOST_VISITORS,
).report(
    name="channels",
    path="/api/v1/analytics/channels",
    title="Visitors by channel",
    description="What kind of place led to the events.",
)
