"""Blocks of a damaged segment, read from its pages without SQLite.

A flipped byte in a page that SQLite needs to find its way (the database header, an inner
page, the write-ahead log of a killed writer) would hide all records behind it. Their bytes
are still there. A block starts with its segment's random magic and has its own checksums, so
it is found by looking for the magic in every page. Of SQLite's formats only this is used
(https://www.sqlite.org/fileformat2.html): how a payload spills from a leaf page to overflow
pages (section 1.6), and how frames lie in a write-ahead log (section 4.1).
"""

import errno
import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from footfall.eventlog.block import HEADER, Block, DamagedBlock, decode, size_of
from footfall.eventlog.sqlite.files import PAGE, Segment, log_path

_MAX_LOCAL = PAGE - 35
_MIN_LOCAL = (PAGE - 12) * 32 // 255 - 23
_WAL_HEADER = 32
_READS = 3  # attempts before a page counts as unreadable
_FRAME = Struct(">II8s8x")  # page number, pages of the database after a commit or 0, salts, checksums


class _Found(NamedTuple):
    last: int
    first: int
    page: int
    position: int
    pointers: bool  # overflow pages by their pointers; False: they follow each other in the file
    damaged: int


class _File:
    """A file read in pages; one with an unreadable sector is zeros. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size
        self._unreadable: set[int] = set()

    def page(self, index: int) -> bytes:
        """The page, shorter at the end of the file. Raises OSError."""
        length = max(0, min(PAGE, self.size - index * PAGE))
        if index in self._unreadable:
            return bytes(length)
        many = 2 * len(self._unreadable) + 2 > -(-self.size // PAGE)
        for again in reversed(range(_READS)):
            try:
                return os.pread(self._descriptor, length, index * PAGE)
            except OSError as error:
                if error.errno != errno.EIO or (many and not again):
                    raise
        self._unreadable.add(index)
        return bytes(length)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class Salvage:
    """What can be read of one segment, as it was when this was made.

    It may be made beside a living writer: the write-ahead log is copied before the database
    is read, so that what was committed by then is in the one or in the other. A page that the
    disk cannot read is taken for zeros.
    """

    def __init__(self, segment: Segment, *, only_log: bool = False) -> None:
        """`only_log` looks for blocks that start in pages of the write-ahead log.

        Raises OSError when the segment cannot be read now, or most of its pages cannot: that is no
        bad sector but the disk.
        """
        self._magic = segment.magic
        self._log = _committed_pages(log_path(segment.path))
        self._file = _File(segment.path)
        try:
            self._found = self._search_all(only_log=only_log)
        except BaseException:
            self._file.close()
            raise

    def _search_all(self, *, only_log: bool) -> list[_Found]:
        self._pages = max([self._file.size // PAGE, *self._log])
        best: dict[int, _Found] = {}
        for page in self._log if only_log else range(1, self._pages + 1):
            for found in self._search(page):
                known = best.get(found.last)
                if known is None or found.damaged < known.damaged:
                    best[found.last] = found
        return sorted(best.values())

    def blocks(self, after: int, below: int) -> Iterator[Block]:
        """The blocks that end in (after, below), in order; damaged records in them are None."""
        start = bisect_right(self._found, after, key=lambda found: found.last)
        for found in self._found[start:]:
            if found.last >= below:
                return
            yield decode(self._magic, self._collect(found.page, found.position, pointers=found.pointers))

    def newest(self, below: int) -> Block | None:
        """The last block that ends below `below`."""
        end = bisect_right(self._found, below - 1, key=lambda found: found.last)
        return next(self.blocks(self._found[end - 1].last - 1, below)) if end else None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _page(self, number: int) -> bytes:
        logged = self._log.get(number)
        return logged if logged is not None else self._file.page(number - 1)

    def _search(self, number: int) -> Iterator[_Found]:
        page = self._page(number)
        position = page.find(self._magic)
        while position >= 0:
            for pointers in (True, False):
                try:
                    block = decode(self._magic, self._collect(number, position, pointers=pointers))
                except DamagedBlock:
                    continue
                yield _Found(block.last, block.first, number, position, pointers, block.damaged)
                if not block.damaged:
                    break
            position = page.find(self._magic, position + 1)

    def _collect(self, number: int, position: int, *, pointers: bool) -> bytes:
        """The bytes of the block at `position` of page `number`. Raises DamagedBlock if it cannot be one."""
        page = self._page(number)
        if len(page) < PAGE or position + HEADER.size > PAGE:
            raise DamagedBlock
        size = size_of(self._magic, page[position:])
        local = _local(size)
        parts = [page[position : position + local]]
        rest = size - len(parts[0])
        following = int.from_bytes(page[position + local : position + local + 4], "big")
        while rest > 0:
            if not 0 < following <= self._pages:
                raise DamagedBlock
            page = self._page(following)
            parts.append(page[4 : 4 + rest])
            rest -= PAGE - 4
            pointed = int.from_bytes(page[:4], "big")
            # SQLite appends overflow pages one after the other, so a damaged pointer can be guessed.
            following = pointed if pointers and 0 < pointed <= self._pages else following + 1
        return b"".join(parts)


def _local(size: int) -> int:
    """How much of a block of `size` bytes lies in the leaf page (fileformat2, section 1.6)."""
    # The row's own header: its length, the type of the key (stored elsewhere), the type of the blob.
    kind = 2 * size + 12
    header = 2 + max(1, -(-kind.bit_length() // 7))
    payload = header + size
    if payload <= _MAX_LOCAL:
        return size
    local = _MIN_LOCAL + (payload - _MIN_LOCAL) % (PAGE - 4)
    return (local if local <= _MAX_LOCAL else _MIN_LOCAL) - header


def _committed_pages(path: Path) -> dict[int, bytes]:
    """The newest committed version of each page in a write-ahead log.

    Checksums of frames are not looked at, blocks have their own; a frame belongs to the
    log's present round if it has the salts of the log's header or of the first frame.
    """
    try:
        file = _File(path)
    except FileNotFoundError:
        return {}
    with closing(file):
        log = b"".join(map(file.page, range(-(-file.size // PAGE))))
    starts = range(_WAL_HEADER, len(log) - _FRAME.size - PAGE + 1, _FRAME.size + PAGE)
    if not starts:
        return {}
    frames = [(*_FRAME.unpack_from(log, start), start + _FRAME.size) for start in starts]
    salts = [salt for _, _, salt, _ in frames]
    round_ = max((log[16:24], salts[0]), key=salts.count)
    pages: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for number, commit, salt, start in frames:
        if salt != round_:
            continue  # of an older round, or damaged
        pending[number] = log[start : start + PAGE]
        if commit:
            pages |= pending
            pending.clear()
    return {number: page for number, page in pages.items() if 0 < number < 1 << 26}
