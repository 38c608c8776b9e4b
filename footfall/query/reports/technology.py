"""What events come from: devices, browsers, operating systems, bots."""

from typing import Annotated, Literal

from msgspec import Meta

from footfall.query.language.params import ListParams
from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import CLICKS, MOST_VISITORS, Listing

Part = Literal["device_type", "browser", "os"]
ALL: tuple[Part, ...] = ("device_type", "browser", "os")


class DeviceParams(ListParams, frozen=True, kw_only=True):
    """A list, and what to group it by."""

    by: Annotated[tuple[Part, ...], Meta(description="What to group by, separated by commas.")] = ALL


CLICKS_BY_DEVICE = Listing(
    row="Device",
    about='Only the parts that were asked for with `by` are there; "" is unknown.',
    by=tuple(By(part) for part in ALL),
    figures=CLICKS,
    types=("click",),
    choose=True,
)

DEVICES = CLICKS_BY_DEVICE.report(
    name="devices",
    path="/api/v1/analytics/devices",
    title="Clicks by device, browser and operating system",
    description="Grouped by the three together unless `by` names fewer; a row has only the parts named.",
    params=DeviceParams,
)


BROWSERS = Listing(
    row="Browser", about='One browser; "" is unknown.', by=(By("browser"),), order_by=MOST_VISITORS
).report(
    name="browsers",
    path="/api/v1/analytics/browsers",
    title="Visitors by browser",
    description="The browsers of all events; for versions filter on one and ask `POST /v1/query`.",
)


OS = Listing(
    row="OperatingSystem", about='One system; "" is unknown.', by=(By("os"),), order_by=MOST_VISITORS
).report(
    name="os",
    path="/api/v1/analytics/os",
    title="Visitors by operating system",
    description="The operating systems of all events.",
)


BOTS = Listing(
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
