"""Posts: how often the widgets in them were seen and clicked."""

from typing import Annotated

from msgspec import Meta, Struct

from footfall.query.params import StatsListParams
from footfall.query.question import is_, is_not
from footfall.query.report import Answer, Context, Report


class Post(Struct, frozen=True):
    """The widgets of one post together."""

    post_id: str
    widget_impressions: int
    widget_clicks: int
    unique_visitors: Annotated[int, Meta(description="Different visitors who saw or clicked one.")]


class PostParams(StatsListParams, frozen=True, kw_only=True):
    """A list of posts, or one."""

    post_id: Annotated[str, Meta(min_length=1, max_length=200, description="Only this post.")] | None = None


async def _run(ctx: Context[PostParams]) -> Answer[list[Post]]:
    found = await ctx.ask(
        ctx.question(
            "impressions",
            "widget_clicks",
            "visitors",
            by=("post_id",),
            filters=(
                is_("event_type", "widget_impression", "widget_click"),
                is_not("post_id", ""),
            ),
            order_by=("-widget_clicks", "post_id"),
            limit=ctx.params.limit,
            offset=ctx.params.offset,
        )
    )
    data = [Post(*row) for row in found.rows]
    return ctx.answer(data, found, uniques=(row.unique_visitors for row in data), total=found.total)


REPORT = Report(
    name="posts",
    path="/v1/stats/posts",
    title="Posts",
    description="Impressions and clicks of the widgets in each post; events that name no post are left out.",
    params=PostParams,
    data=list[Post],
    run=_run,
)
