"""Where events come from: country, region, city, language."""

from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import CLICKS, MOST_VISITORS, Listing

CODE = By("country_code", 'ISO 3166-1 alpha-2; "" when unknown.')
COUNTRY = By("country", "English name; Unknown when unknown.")

CLICKS_BY_COUNTRY = Listing(
    row="Country",
    about="One country.",
    by=(CODE, COUNTRY),
    figures=CLICKS,
    order_by=("-clicks", "country"),
    types=("click",),
)

COUNTRIES = CLICKS_BY_COUNTRY.report(
    name="countries",
    path="/api/v1/analytics/countries",
    title="Clicks by country",
    description="Where clicks came from, by their address; `Unknown` where there was none.",
)


REGION = By("region", 'The ISO 3166-2 part after the country, or a name; "" when unknown.')

REGIONS = Listing(
    row="Region", about="One region.", by=(CODE, COUNTRY, REGION), order_by=MOST_VISITORS
).report(
    name="regions",
    path="/api/v1/analytics/regions",
    title="Visitors by region",
    description="Where visitors are, by their address; regions need a `geo_database` that knows them.",
)


CITIES = Listing(
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


LANGUAGES = Listing(
    row="Language",
    about="One language.",
    by=(By("language", 'As the browser names it; "" when unknown.'),),
    order_by=MOST_VISITORS,
).report(
    name="languages",
    path="/api/v1/analytics/languages",
    title="Visitors by language",
    description="The languages that browsers ask for first.",
)
