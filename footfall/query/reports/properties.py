"""The names of the properties that events carry."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.language.params import ListParams
from footfall.query.reporting.report import Answer, Context, Report


class Property(Struct, frozen=True):
    """One name, at the top level of the properties."""

    property: str
    events: Annotated[int, Meta(description="Events that carry it, whatever its value.")]
    visitors: Annotated[int, Meta(description="Different visitors of these events.")]
    values: Annotated[int, Meta(description="Different values it has.")]


async def _run(ctx: Context[ListParams]) -> Answer[list[Property]]:
    question = ctx.question(limit=ctx.params.limit, offset=ctx.params.offset)
    found = await ctx.engine.properties(question, ctx.timeout)
    rows = [Property(*row) for row in found.rows]
    counts = (count for row in rows for count in (row.visitors, row.values))
    return ctx.answer(rows, found, uniques=counts, total=found.total)


REPORT = Report(
    name="properties",
    path="/api/v1/analytics/properties",
    title="Names of properties",
    description="Which properties events carry, of one type with `event_type`; their values are in "
    "`/api/v1/analytics/properties/values`.",
    params=ListParams,
    data=list[Property],
    run=_run,
)
