"""The routing key of a sender: resends with the same one meet in the same partition of the log."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from footfall.errors import Misconfigured

_LONGEST = 200  # characters; the door cuts off what is longer


def new_queue_id() -> str:
    """A random queue id."""
    return uuid.uuid4().hex


def checked(text: str, where: str) -> str:
    """The text if it can be a queue id. Raises Misconfigured."""
    if not 0 < len(text) <= _LONGEST or not text.isascii() or not text.isprintable():
        raise Misconfigured(f"{where} must hold 1 to {_LONGEST} printable ASCII characters")
    return text


def persistent_queue_id(path: Path) -> str:
    """The queue id kept in `path`, made at the first call; processes that race agree on one.

    Raises Misconfigured when the file holds something else, OSError when it cannot be made.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            own.write_text(new_queue_id() + "\n")
            with suppress(FileExistsError):
                os.link(own, path)  # whole or not at all, and only if nobody was faster
        finally:
            own.unlink(missing_ok=True)
    return checked(path.read_text().strip(), str(path))
