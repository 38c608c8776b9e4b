"""Visitors by city."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing
from footfall.query.reports.countries import CODE, COUNTRY
from footfall.query.reports.regions import REGION

REPORT = Listing(
    row="City",
    about="One city.",
    by=(CODE, COUNTRY, REGION, By("city", '"" when unknown.')),
    order_by=MOST_VISITORS,
).report(
    name="cities",
    path="/api/v1/analytics/cities",
    title="Visitors by city",
    description="Where visitors are, by their address; cities need a `geo_database` that knows them.",
)
