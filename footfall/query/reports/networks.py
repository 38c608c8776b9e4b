"""Visitors by network: the autonomous system that their address belongs to."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from footfall.query.language.params import ListParams
from footfall.query.reporting.columns import By, distinct_counts
from footfall.query.reporting.listing import MOST_VISITORS, Listing
from footfall.query.reporting.report import Answer, Context, Report


class Network(Struct, frozen=True):
    """One network."""

    asn: Annotated[int, Meta(description="Number of the autonomous system; 0 when unknown.")]
    organisation: Annotated[
        str | None, Meta(description="Its name in the `asn_database` of the settings; null when unknown.")
    ]
    visitors: int
    events: int
    clicks: int
    pageviews: int


_NETWORKS = Listing(
    row="NetworkFigures", about="One network.", by=(By("asn", type=int),), order_by=MOST_VISITORS
)


async def _run(ctx: Context[ListParams]) -> Answer[list[Any]]:
    await ctx.networks.load()
    found, rows = await _NETWORKS.find(ctx, ctx.params.limit, ctx.params.offset)
    missing = (
        []
        if ctx.networks.known
        else ["organisations are null: no asn_database is set, from which their names are read"]
    )
    return ctx.answer(
        [Network(organisation=ctx.networks.name(row["asn"]), **row) for row in rows],
        found,
        uniques=distinct_counts(_NETWORKS.figures, rows),
        total=found.total,
        warnings=missing,
    )


REPORT = Report(
    name="networks",
    path="/api/v1/analytics/networks",
    title="Visitors by network",
    description="The networks (autonomous systems) of visitors' addresses; both need an "
    "`asn_database`; numbers may come from a `geo_database` that knows them.",
    params=ListParams,
    data=list[Network],
    run=_run,
)
