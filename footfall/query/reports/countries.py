"""Clicks by country."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import CLICKS, Listing

CODE = By("country_code", 'ISO 3166-1 alpha-2; "" when unknown.')
COUNTRY = By("country", "English name; Unknown when unknown.")

COUNTRIES = Listing(
    row="Country",
    about="One country.",
    by=(CODE, COUNTRY),
    figures=CLICKS,
    order_by=("-clicks", "country"),
    types=("click",),
)

REPORT = COUNTRIES.report(
    name="countries",
    path="/api/v1/analytics/countries",
    title="Clicks by country",
    description="Where clicks came from, by their address; `Unknown` where there was none.",
)
