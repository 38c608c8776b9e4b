"""What was found damaged, until it is whole again or gone: the metric behind the alert `damaged`.

Who meets damage reports the file or directory; a loop of those who can tell looks again, so that a repair,
or an error that only memory or a cable made, ends the alert without a restart.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from footfall.metrics import DAMAGED

log = structlog.get_logger(__name__)

_AGAIN = 30.0  # seconds between two looks at the same thing, which may be large

_Files = tuple[tuple[str, int, int, int], ...]


class _Look(NamedTuple):
    """What the files were when it was looked at, and when that was (monotonic)."""

    files: _Files
    at: float


class Damage:
    """Things of one kind. `report` may be called from any thread, `look_again` from one at a time."""

    def __init__(self, gone_is_over: bool) -> None:  # noqa: FBT001 -- only below, where its name stands
        """`gone_is_over`: of what is gone nobody needs anything any more."""
        self._gone_is_over = gone_is_over
        self._known: dict[Path, _Look | None] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._known)

    def report(self, path: Path) -> None:
        """It is damaged."""
        self._known.setdefault(path, None)
        _show()

    def look_again(self, is_whole: Callable[[Path], bool]) -> None:
        """Forget what is whole again, or gone; asked of what has changed since the last look only.

        Raises what `is_whole` raises, and asks the same again next time.
        """
        for path, last in list(self._known.items()):
            if last and time.monotonic() < last.at + _AGAIN:
                continue
            files = _files(path)
            if last and files == last.files:
                continue
            over = self._gone_is_over if not files else is_whole(path)
            if over:
                del self._known[path]
                log.warning("what was damaged is whole again, or gone", file=str(path))
            else:
                self._known[path] = _Look(files, time.monotonic())
        _show()


def _files(path: Path) -> _Files:
    """What tells whether any of it was written anew; nothing where it is gone."""
    found: list[tuple[str, int, int, int]] = []
    try:
        for each in sorted(path.iterdir()) if path.is_dir() else [path]:
            stat = each.stat()
            found.append((each.name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    except FileNotFoundError:
        return ()
    return tuple(found)


def _show() -> None:
    DAMAGED.set(any((DATABASES, PARTS)))


DATABASES = Damage(gone_is_over=False)
PARTS = Damage(gone_is_over=True)
"""Of the store."""
