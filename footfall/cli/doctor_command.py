"""`footfall doctor`: shows the checks of `doctor.py`."""

from rich.table import Table
from rich.text import Text

from footfall.cli import doctor as checks
from footfall.cli.roles import DEFAULTS, RoleOptions
from footfall.cli.tables import terminal

_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(*, where: RoleOptions = DEFAULTS) -> int:
    """Check this machine and the data directory; the exit status is 1 when something fails."""
    found = list(checks.examine(where.settings()))
    table = Table("check", "", "detail")
    for check in found:
        table.add_row(check.name, Text(check.state, style=_STYLE[check.state]), Text(check.detail))
    terminal().print(table)
    return checks.exit_status(found)
