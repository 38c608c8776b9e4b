"""`footfall sql`: a SELECT over the events and the views, as CSV."""

import csv
import sys
from typing import Annotated

from cyclopts import Parameter

from footfall.cli.console_client import Console, ask
from footfall.cli.options import Data


def sql(
    statement: Annotated[str, Parameter(help='For example "SELECT * FROM clicks_daily ORDER BY day".')],
    *,
    data: Data = None,
) -> None:
    """Answer one SELECT, as CSV with a line of names. Nothing can be changed.

    For whoever runs the machine: it sees all workspaces. Views over the raw events: click_events,
    clicks_hourly, clicks_daily, daily_widget_stats, daily_post_stats. Asks the server that runs on the data
    directory; where none runs, it opens the data itself.
    """

    async def work(server: Console) -> None:
        found = await server.post("/api/v1/sql", {"sql": statement})
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(found["columns"])
        lines.writerows(found["rows"])

    ask(data, None, None, work)
