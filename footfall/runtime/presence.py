"""Whether a file is there, where that decides about data.

`Path.exists`, `is_dir`, `is_file` and `glob` take errors for "no": a loop of links on every version of
Python, from 3.13 and 3.14 on also a disk that answers with errors. Nothing that deletes, begins anew or
passes over something may believe them.
"""

import os
import stat
from pathlib import Path


def is_there(path: Path) -> bool:
    """Whether anything has this name. Raises OSError when that cannot be told now."""
    return _mode(path) is not None


def is_directory(path: Path) -> bool:
    """Whether it is a directory. Raises OSError when that cannot be told now."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def names_in(directory: Path) -> list[str]:
    """The names in it, none where there is no such directory. Raises OSError when that cannot be told now."""
    try:
        return os.listdir(directory)  # noqa: PTH208 -- names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return []


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 -- what raises is what this is about
    except (FileNotFoundError, NotADirectoryError):
        return None
