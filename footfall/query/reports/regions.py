"""Visitors by region."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing
from footfall.query.reports.countries import CODE, COUNTRY

REGION = By("region", 'The ISO 3166-2 part after the country, or a name; "" when unknown.')

REPORT = Listing(
    row="Region", about="One region.", by=(CODE, COUNTRY, REGION), order_by=MOST_VISITORS
).report(
    name="regions",
    path="/api/v1/analytics/regions",
    title="Visitors by region",
    description="Where visitors are, by their address; regions need a `geo_database` that knows them.",
)
