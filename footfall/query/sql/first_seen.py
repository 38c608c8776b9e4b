"""Which event of a visitor is the first that is kept."""

from footfall.query.language.question import Question, sites_asked
from footfall.query.sql.node import Select
from footfall.store.statement import Values

_OF_ITS_OWN = "visitor_id != 0 AND visitor_id != device_hash"
_PLACE = "(toUnixTimestamp64Milli(occurred_at), seq, shard)"


def is_first(question: Question, values: Values) -> str:
    """The condition that an event of a question is the first at its sites of a visitor whose id lasts."""
    sites, bots = sites_asked(question), question.bots
    before = [
        f"workspace_id = {values.add(question.workspace_id, 'String')}",
        *([] if sites is None else [f"site_id IN {values.add(sorted(sites), 'Array(String)')}"]),
        f"occurred_at < fromUnixTimestamp64Milli({values.add(question.period.end, 'Int64')}, 'UTC')",
        *([] if bots is None else ["is_bot" if bots else "NOT is_bot"]),
        _OF_ITS_OWN,
    ]
    columns = {"visitor": "visitor_id", "place": f"min({_PLACE})"}
    first = Select(columns, "events", before, ("visitor_id",))
    return f"{_OF_ITS_OWN} AND (visitor_id, {_PLACE}) IN {first.inner()}"
