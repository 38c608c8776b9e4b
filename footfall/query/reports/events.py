"""Events by type, and the properties that they carry."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.catalog.fields import PROPERTY, find_field
from footfall.query.language.params import ListParams
from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By, figures
from footfall.query.reporting.listing import Listing
from footfall.query.reporting.report import Answer, Context, Report

EVENT_TYPES = Listing(
    row="EventType",
    about="One type of events.",
    by=(By("event_type", "A kind that Footfall knows, or one of your own."),),
    figures=figures("events", "visitors", "sessions"),
).report(
    name="event_types",
    path="/api/v1/analytics/events",
    title="Events by type",
    description="How many events of each type there are, of known kinds and of your own.",
)


class Property(Struct, frozen=True):
    """One name, at the top level of the properties."""

    property: str
    events: Annotated[int, Meta(description="Events that carry it, whatever its value.")]
    visitors: Annotated[int, Meta(description="Different visitors of these events.")]
    values: Annotated[int, Meta(description="Different values it has.")]


async def _properties(ctx: Context[ListParams]) -> Answer[list[Property]]:
    question = ctx.question(limit=ctx.params.limit, offset=ctx.params.offset)
    found = await ctx.engine.properties(question, ctx.timeout)
    rows = [Property(*row) for row in found.rows]
    counts = (count for row in rows for count in (row.visitors, row.values))
    return ctx.answer(rows, found, uniques=counts, total=found.total)


PROPERTIES = Report(
    name="properties",
    path="/api/v1/analytics/properties",
    title="Names of properties",
    description="Which properties events carry, of one type with `event_type`; their values are in "
    "`/api/v1/analytics/properties/values`.",
    params=ListParams,
    data=list[Property],
    run=_properties,
)


class PropertyValue(Struct, frozen=True):
    """One value."""

    value: Annotated[str, Meta(description="As text; an object or array as JSON.")]
    events: int
    visitors: Annotated[int, Meta(description="Different visitors of these events.")]


class ValueParams(ListParams, frozen=True, kw_only=True):
    """A list of values."""

    property: Annotated[
        str, Meta(min_length=1, max_length=200, description="The property's name, at the top level.")
    ]


async def _property_values(ctx: Context[ValueParams]) -> Answer[list[PropertyValue]]:
    name = f"{PROPERTY}{ctx.params.property}"
    find_field(name, "property")
    found = await ctx.ask(
        ctx.question(
            "events",
            "visitors",
            by=(name,),
            filters=(is_not(name, ""),),
            order_by=("-events", name),
            limit=ctx.params.limit,
            offset=ctx.params.offset,
        )
    )
    rows = [PropertyValue(*row) for row in found.rows]
    return ctx.answer(rows, found, uniques=(row.visitors for row in rows), total=found.total)


PROPERTY_VALUES = Report(
    name="property_values",
    path="/api/v1/analytics/properties/values",
    title="Values of a property",
    description="The values that `property` has, in events of one type with `event_type`. Events without "
    "it, or with null or empty text, are left out.",
    params=ValueParams,
    data=list[PropertyValue],
    run=_property_values,
)
