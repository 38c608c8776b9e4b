"""The values of one property."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.catalog.fields import PROPERTY, find_field
from footfall.query.language.params import ListParams
from footfall.query.language.question import is_not
from footfall.query.reporting.report import Answer, Context, Report


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


async def _run(ctx: Context[ValueParams]) -> Answer[list[PropertyValue]]:
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


REPORT = Report(
    name="property_values",
    path="/api/v1/analytics/properties/values",
    title="Values of a property",
    description="The values that `property` has, in events of one type with `event_type`. Events without "
    "it, or with null or empty text, are left out.",
    params=ValueParams,
    data=list[PropertyValue],
    run=_run,
)
