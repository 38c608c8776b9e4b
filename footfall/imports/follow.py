"""Following a file that a server writes: its lines, those that come, and the file that takes its place.

A line counts when its end is there. A file that was renamed is read to its end before the new one is.
"""

import os
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from footfall.errors import Invalid
from footfall.imports.reader import Chunk, chunks_of

_PAUSE = 0.25  # seconds between looks
_LOOKS = 8  # without a line, until what there is is given out


def follow(file: str, most_lines: int, identity: Callable[[str], bytes]) -> Iterator[Chunk]:
    """The lines of `file` as they come, in chunks, about every two seconds one, if only an empty one.

    It never ends. Raises Invalid where the file cannot be read.
    """
    return chunks_of(_lines(file), lambda: 0, most_lines, identity)


def _lines(file: str) -> Iterator[tuple[int, bytes] | None]:
    raw, number, begun, looks = _open(file), 0, b"", 0
    try:
        while True:
            line = raw.readline()
            begun += line
            another = not line and _is_another(raw, file)
            if begun.endswith(b"\n") or (another and begun):
                number += 1
                if whole := begun.strip():
                    yield number, whole
                begun = b""
            if another:
                raw.close()
                raw, number = _open(file), 0
            elif not line:
                looks += 1
                if looks >= _LOOKS:
                    looks = 0
                    yield None
                time.sleep(_PAUSE)
    finally:
        raw.close()


def _open(file: str) -> BufferedReader:
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Invalid(f"{file}: {error.strerror}", field="FILE") from None


def _is_another(raw: BufferedReader, file: str) -> bool:
    """Whether the name stands for another file now, or this one was cut short."""
    try:
        there = Path(file).stat()
    except FileNotFoundError:
        return False  # it will come
    ours = os.fstat(raw.fileno())
    return (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev) or there.st_size < raw.tell()
