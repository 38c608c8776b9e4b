"""The event kinds that Footfall knows, and the types of their properties.

A kind is one Struct. Any other name is a custom event: stored as it is, with free
properties. Known kinds may carry further properties too; only the ones named here are
checked. How a kind changes over the years: docs/decisions/0003-event-schemas.md.
"""

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2000)]
Id = Name | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Of a thing of the sender's own: text, or a number, and so it comes back."""


class Click(Struct, frozen=True):
    """A visit to a short link. Recorded by the door; also accepted as an event."""


class OrphanClick(Struct, frozen=True):
    """A visit to a short code that does not exist."""


class PageView(Struct, frozen=True):
    """A page was shown; `page_url` of the envelope says which."""

    title: Text | None = None


class WidgetImpression(Struct, frozen=True):
    """A widget was put on a page. Viewable means `viewport_percent` of at least 50."""

    mapping_id: Id
    post_id: Id | None = None
    widget_index: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    device_slug: Name | None = None
    raw_model: Text | None = None
    viewport_percent: Annotated[float, Meta(ge=0, le=100)] | None = None


class WidgetClick(Struct, frozen=True):
    """A click in a widget."""

    mapping_id: Id
    post_id: Id | None = None
    device_slug: Name | None = None
    click_target: Text | None = None
    destination_url: Text | None = None


class DevicePageView(Struct, frozen=True):
    """The page of a device was shown, perhaps reached through a widget."""

    device_id: Id
    device_slug: Name | None = None
    brand: Name | None = None
    view_source: Name | None = None
    referrer_mapping_id: Id | None = None


class Conversion(Struct, frozen=True):
    """Something of value happened. `value_minor` counts cents (or the currency's minor unit), up to 10^12."""

    name: Name
    value_minor: Annotated[int, Meta(ge=-(10**12), le=10**12)] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None


class Engagement(Struct, frozen=True):
    """How long a page was looked at since it was shown or this was last said, and how much of it was seen.

    It belongs to the page view before it: it counts as no event, ends no bounce and opens no visit.
    `engagement_time` is in milliseconds, `scroll_depth` in percent of the page: more than 100 is 100.
    """

    engagement_time: Annotated[float, Meta(ge=0, le=86_400_000)] | None = None
    scroll_depth: Annotated[float, Meta(ge=0, le=1000)] | None = None


class Kind(Struct, frozen=True):
    """A known event type: what its properties must be, and the newest version understood.

    Events of a newer version come from a newer client and are stored unvalidated.
    """

    name: str
    properties: type[Struct]
    version: int = 1


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("click", Click),
        Kind("orphan_click", OrphanClick),
        Kind("page_view", PageView),
        Kind("widget_impression", WidgetImpression),
        Kind("widget_click", WidgetClick),
        Kind("device_page_view", DevicePageView),
        Kind("conversion", Conversion),
        Kind("engagement", Engagement),
    )
}
