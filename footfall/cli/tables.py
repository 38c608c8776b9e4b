"""Tables in the terminal: nothing is cut off, and where it is no terminal nothing is wrapped."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 1000  # columns of a pipe or a file: lines are as long as they are


def terminal() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def table(*names: str, title: str = "", right: Sequence[str] = ()) -> Table:
    """An empty table; the columns in `right` are of numbers. A cell that is too long goes on below."""
    made = Table(title=title or None, title_justify="left")
    for name in names:
        made.add_column(name.replace("_", " "), justify="right" if name in right else "left", overflow="fold")
    return made


def add(made: Table, *cells: object) -> None:
    """A row; whatever stands in it is shown as it is, and no number without its thousands."""
    made.add_row(*(Text(_shown(cell)) for cell in cells))


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    if isinstance(cell, list | tuple):
        return ", ".join(map(str, cell)) or "-"  # pyright: ignore[reportUnknownArgumentType] -- JSON
    return str(cell) or "-"
