"""What the data directory holds is its owner's: events, keys, salts."""

import stat
from contextlib import suppress
from pathlib import Path


def make_private(directory: Path) -> None:
    """Take a directory that exists from everybody but its owner. One that is somebody else's stays as it is.

    Raises OSError when it cannot be looked at.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o077:
        with suppress(PermissionError):
            directory.chmod(mode & 0o700)
