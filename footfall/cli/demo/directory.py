"""The demo's data directory, which is emptied for each run; and only a demo's directory ever is."""

import shutil
from pathlib import Path

from footfall.errors import Conflict, Misconfigured
from footfall.runtime import data_directory

DIRECTORY = Path(".demo-data")

_MARK = "footfall-demo"
_TEXT = "This directory belongs to `footfall demo`, which empties it at each run.\n"


def empty(path: Path) -> None:
    """Leave `path` there, marked and otherwise empty.

    Raises Misconfigured when it has content but no mark, Conflict when a server runs on it.
    """
    if path.exists() and not path.is_dir():
        raise Misconfigured(f"{path} is not a directory")
    content = list(path.iterdir()) if path.exists() else []
    if content and not (path / _MARK).is_file():
        raise Misconfigured(f"{path} was not made by the demo, so the demo does not empty it")
    holder = data_directory.holder(path)
    if holder:
        raise Conflict(f"{path} is in use by {holder}; is another demo running?")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    (path / _MARK).write_text(_TEXT)
    for entry in content:
        if entry.name != _MARK:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
