"""What each consumer has committed: one small file per consumer and shard.

    DATA/log/consumers/<consumer>/<shard, 16 hex digits>     the offset, in decimal, and its checksum

Files of their own, not rows of a segment: a segment has one writer, and it is not the
consumer. They are replaced atomically but not fsynced, because they only release records for
retention: after a power failure an older or unreadable one keeps records longer, until the
consumer's next commit.
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from footfall.errors import Invalid
from footfall.runtime.presence import is_there, names_in

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SHARD = re.compile(r"[0-9a-f]{16}")


class Consumers:
    """The commits in one log directory. All methods raise OSError: what cannot be read is not -1."""

    def __init__(self, root: Path) -> None:
        self._root = root / "consumers"

    def commit(self, consumer: str, shard: int, upto: int) -> None:
        """Remember `upto`; a smaller number than before changes nothing."""
        path = self._path(consumer) / f"{shard:016x}"
        if upto <= _read(path):
            if is_there(path):
                return
            upto = -1  # nothing yet, but the consumer is known from now on
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(".draft")
        draft.write_text(f"{upto} {_checksum(str(upto))}")
        draft.replace(path)

    def committed(self, consumer: str, shard: int) -> int:
        """The offset up to which `consumer` needs nothing any more, or -1."""
        return _read(self._path(consumer) / f"{shard:016x}")

    def all_committed(self, consumer: str) -> dict[int, int]:
        """By shard what `committed` says, of those where the consumer has committed something."""
        directory = self._path(consumer)
        names = [name for name in names_in(directory) if _SHARD.fullmatch(name)]
        found = {int(name, 16): _read(directory / name) for name in names}
        return {shard: offset for shard, offset in found.items() if offset >= 0}

    def released(self, shard: int) -> int:
        """The offset up to which nobody needs anything; -1 while no consumer is known.

        A log whose consumer has not started yet looks like one that nobody reads, so
        without a consumer nothing is ever released.
        """
        return min(self._of(shard), default=-1)

    def highest(self, shard: int) -> int:
        """The largest offset any consumer has committed, or -1."""
        return max(self._of(shard), default=-1)

    def drop(self, consumer: str) -> None:
        """Forget the consumer. Raises OSError."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._path(consumer))

    def forget_shard(self, shard: int) -> None:
        """Remove what was committed of a shard that is gone for good."""
        for path in self._root.glob(f"*/{shard:016x}"):
            path.unlink(missing_ok=True)

    def _of(self, shard: int) -> list[int]:
        """What each consumer has committed."""
        return [_read(self._root / name / f"{shard:016x}") for name in names_in(self._root)]

    def _path(self, consumer: str) -> Path:
        if not _NAME.fullmatch(consumer):
            raise Invalid(
                "a consumer's name has 1 to 64 of a-z, 0-9, _ and -, and does not start with _ or -",
                field="consumer",
            )
        return self._root / consumer


def _read(path: Path) -> int:
    try:
        digits, _, checksum = path.read_text().partition(" ")
        # Without a checksum: of an older version.
        return int(digits) if checksum in {"", _checksum(digits)} else -1
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return -1


def _checksum(digits: str) -> str:
    return f"{crc32(digits.encode()):08x}"
