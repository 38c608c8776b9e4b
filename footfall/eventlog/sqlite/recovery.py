"""What a writer that was killed leaves behind, put in order by the next owner of its shard.

SQLite recovers a write-ahead log up to the first frame with a wrong checksum. Where a byte
was flipped in the middle, acknowledged records behind it would vanish; their blocks are
found in the log's pages and inserted again before it is checkpointed away.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from footfall.eventlog.block import Block, encode
from footfall.eventlog.sqlite.files import (
    INSERT,
    Segment,
    is_sealed,
    list_segments,
    open_writer,
    remove_files,
    seal,
)
from footfall.eventlog.sqlite.salvage import Salvage

_NO_END = 1 << 62

_log = logging.getLogger(__name__)


def heal_shard(directory: Path) -> list[Segment]:
    """Restore what SQLite's recovery would lose, then seal; returns the segments that could not be.

    The caller holds the shard's lock and has no connection to its segments. Raises OSError.
    """
    remove_files(directory / "draft")
    segments = list_segments(directory)
    return [
        segment
        for index, segment in enumerate(segments)
        if not is_sealed(segment)
        and not heal(segment, segments[index + 1].first if index + 1 < len(segments) else _NO_END)
    ]


def heal(segment: Segment, below: int) -> bool:
    """Restore and seal one segment; False if it must stay as it is for now (or for ever)."""
    try:
        # Before SQLite opens the file: closing ours later would drop its locks (POSIX).
        with closing(Salvage(segment, only_log=True)) as salvage:
            logged = list(salvage.blocks(segment.first - 1, below))
        connection = open_writer(segment)
    except (OSError, sqlite3.Error):
        return False
    try:
        (highest,) = connection.execute("SELECT max(last) FROM blocks").fetchone()
        lost = [block for block in logged if block.last > (segment.first - 1 if highest is None else highest)]
        for block in lost:
            _restore(connection, segment, block)
        if lost:
            _log.warning("restored %d blocks that a damaged write-ahead log hid", len(lost))
        return seal(connection)
    except sqlite3.Error as error:
        _log.warning("log segment %s cannot be put in order: %s", segment.path.name, error)
        return False
    finally:
        connection.close()


def _restore(connection: sqlite3.Connection, segment: Segment, block: Block) -> None:
    """Insert what is intact; a damaged record leaves a hole, which readers report as damaged."""
    run: list[bytes] = []
    for offset, body in enumerate((*block.records, None), block.first):
        if body is not None:
            run.append(body)
        elif run:
            connection.execute(INSERT, encode(segment.magic, offset - len(run), block.appended_at, run))
            run = []
