"""Clicks by what led to them."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.lists import ClicksBy, clicks_report


class Referer(Struct, frozen=True):
    """One referring host."""

    referer_host: Annotated[str, Meta(description="`direct` when the click named none.")]
    channel: Annotated[str, Meta(description="search, social, ai, email, internal, direct, other, ...")]
    clicks: int
    visitors: int


REFERERS = ClicksBy(Referer, ("referer_host", "channel"), order_by=("referer_host", "channel"))

REPORT = clicks_report(
    REFERERS,
    name="referers",
    path="/api/v1/analytics/referers",
    title="Clicks by referring host",
    description="The hosts that led to clicks, with their channel: search, social, email, ...",
)
