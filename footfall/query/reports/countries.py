"""Clicks by country."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.lists import ClicksBy, clicks_report


class Country(Struct, frozen=True):
    """One country."""

    country_code: Annotated[str, Meta(description='ISO 3166-1 alpha-2; "" when unknown.')]
    country: Annotated[str, Meta(description="English name; Unknown when unknown.")]
    clicks: int
    visitors: int


COUNTRIES = ClicksBy(Country, ("country_code", "country"), order_by=("country", "country_code"))

REPORT = clicks_report(
    COUNTRIES,
    name="countries",
    path="/api/v1/analytics/countries",
    title="Clicks by country",
    description="Where clicks came from, by their address; `Unknown` where there was none.",
)
