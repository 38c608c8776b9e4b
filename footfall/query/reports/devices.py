"""Clicks by device type, browser and operating system."""

from typing import Annotated, Literal

from msgspec import Meta

from footfall.query.language.params import ListParams
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import CLICKS, Listing

Part = Literal["device_type", "browser", "os"]
ALL: tuple[Part, ...] = ("device_type", "browser", "os")


class DeviceParams(ListParams, frozen=True, kw_only=True):
    """A list, and what to group it by."""

    by: Annotated[tuple[Part, ...], Meta(description="What to group by, separated by commas.")] = ALL


DEVICES = Listing(
    row="Device",
    about='Only the parts that were asked for with `by` are there; "" is unknown.',
    by=tuple(By(part) for part in ALL),
    figures=CLICKS,
    types=("click",),
    choose=True,
)

REPORT = DEVICES.report(
    name="devices",
    path="/api/v1/analytics/devices",
    title="Clicks by device, browser and operating system",
    description="Grouped by the three together unless `by` names fewer; a row has only the parts named.",
    params=DeviceParams,
)
