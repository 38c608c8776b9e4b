"""Visitors by utm_campaign."""

from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing

REPORT = Listing(
    row="UtmCampaign",
    about="One value of `utm_campaign`.",
    by=(By("utm_campaign"),),
    order_by=MOST_VISITORS,
    where=(is_not("utm_campaign", ""),),
).report(
    name="utm_campaigns",
    path="/api/v1/analytics/utm-campaigns",
    title="Visitors by utm_campaign",
    description="Events whose URL, or whose link's target, named a `utm_campaign`; others are left out.",
)
