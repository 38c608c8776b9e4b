"""Bots: which came, and how often."""

from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing

REPORT = Listing(
    row="Bot",
    about="One bot.",
    by=(By("bot_name", '"" when it has no known name.'), By("bot_category", "What kind of bot it is.")),
    figures=figures("events", "clicks", "pageviews"),
    bots=True,
).report(
    name="bots",
    path="/api/v1/analytics/bots",
    title="Bots",
    description="Events of bots only, whatever `include_bots` says: other reports leave them out.",
)
