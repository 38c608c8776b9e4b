"""Views of device pages: of which devices, and what led to them."""

from typing import Annotated, Literal

from msgspec import Meta

from footfall.query.catalog.measures import NUMBERS
from footfall.query.language.params import StatsListParams
from footfall.query.reporting.columns import By, ReportColumn
from footfall.query.reporting.listing import Listing
from footfall.query.reports.widgets import SENT

Part = Literal["device_slug", "brand", "device_id", "view_source", "referrer_mapping_id"]


class DevicePageParams(StatsListParams, frozen=True, kw_only=True):
    """A list, and what to group it by."""

    by: Annotated[tuple[Part, ...], Meta(description="What to group by, separated by commas.")] = (
        "device_slug",
        "brand",
    )


REPORT = Listing(
    row="DevicePage",
    about='Only the parts that were asked for with `by` are there; "" is unknown.',
    by=(
        By("device_slug"),
        By("brand", dimension="property:brand"),
        By("device_id", SENT, "property:device_id", str | int | float, NUMBERS["device_id"]),
        By("view_source", "How the visitor came, as the page says.", "property:view_source"),
        By(
            "referrer_mapping_id",
            f"The widget that led here. {SENT}",
            "property:referrer_mapping_id",
            str | int | float,
            NUMBERS["referrer_mapping_id"],
        ),
    ),
    figures=(
        ReportColumn("views", "events", "Events of type `device_page_view`."),
        ReportColumn("unique_visitors", "visitors"),
    ),
    types=("device_page_view",),
    choose=True,
).report(
    name="device_pages",
    path="/v1/stats/devices",
    title="Device pages",
    description="Views of device pages by device and brand, or by what `by` names: by `view_source`, or "
    "by `referrer_mapping_id`, the widget they came from.",
    params=DevicePageParams,
)
