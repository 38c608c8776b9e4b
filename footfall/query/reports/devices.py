"""Clicks by device type, browser and operating system."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from footfall.query.lists import ClicksBy
from footfall.query.params import ListParams
from footfall.query.report import Answer, Context, Report

Part = Literal["device_type", "browser", "os"]
ALL: tuple[Part, ...] = ("device_type", "browser", "os")


class Device(Struct, frozen=True, kw_only=True):
    """Only the parts that were asked for with `by` are there; "" is unknown."""

    device_type: str | UnsetType = UNSET
    browser: str | UnsetType = UNSET
    os: str | UnsetType = UNSET
    clicks: int
    visitors: int


class DeviceParams(ListParams, frozen=True, kw_only=True):
    """A list, and what to group it by."""

    by: Annotated[tuple[Part, ...], Meta(description="What to group by, separated by commas.")] = ALL


DEVICES = ClicksBy(Device, ALL, order_by=ALL)


async def _run(ctx: Context[DeviceParams]) -> Answer[list[Device]]:
    by = ctx.params.by
    return await ClicksBy(Device, by, order_by=by).answer(ctx)


REPORT = Report(
    name="devices",
    path="/api/v1/analytics/devices",
    title="Clicks by device, browser and operating system",
    description="Grouped by the three together unless `by` names fewer; a row has only the parts named.",
    params=DeviceParams,
    data=list[Device],
    run=_run,
)
