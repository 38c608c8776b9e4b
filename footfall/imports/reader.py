"""Reading files of lines for an import: chunks of lines, each with its number and occurrence."""

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import zstandard

from footfall.errors import Invalid
from footfall.imports.runs import is_cut

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""What is sent for a line that is not UTF-8 or endless; no format takes it for a line of its own."""

_LONGEST_LINE = 64 << 10
_CHUNK_BYTES = 4 << 20
_REMEMBERED = 500_000


class Chunk(NamedTuple):
    """Some lines of a file.

    `numbers` are their places in the file, from 1; `occurrences` say for each which of the
    identical lines it is, from 1; `position` is where in the (compressed) file reading stands; `fields` is
    what was said about the lines before the first of these (see `LineReader.fields`).
    """

    numbers: list[int]
    lines: list[str]
    occurrences: list[int]
    position: int
    fields: str = ""


_Opened = Callable[[BufferedReader], Any]
_PACKED: tuple[tuple[bytes, _Opened], ...] = (
    (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", lambda raw: BufferedReader(_unpacked_zstd(raw))),
)
"""How compressed files begin, and how they are read."""


def _unpacked_zstd(raw: BufferedReader) -> Any:
    return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False)


def files_in(path: str) -> list[str]:
    """The files to read for `path`: itself, or all below the directory, by name, without hidden ones.

    Raises Invalid for a directory without a file.
    """
    if path == "-" or not Path(path).is_dir():
        return [path]
    below = sorted(Path(path).rglob("*"))
    files = [str(each) for each in below if each.is_file() and not _is_hidden(each.relative_to(path))]
    if not files:
        raise Invalid(f"{path}: there is no file in this directory", field="FILE")
    return files


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def open_input(file: str, stdin: BufferedReader) -> tuple[BufferedReader, int]:
    """The file (`-` for standard input) and its size in bytes, 0 when unknown. Raises Invalid."""
    if file == "-":
        return stdin, 0
    path = Path(file)
    try:
        return path.open("rb"), path.stat().st_size
    except OSError as error:
        raise Invalid(f"{file}: {error.strerror}", field="FILE") from None


def read_chunks(
    raw: BufferedReader, most_lines: int, identity: Callable[[str], bytes] = str.encode
) -> Iterator[Chunk]:
    """The lines of a plain or compressed file, without empty ones, in chunks.

    `identity` says what makes lines identical. Chunks end where runs of lines end, if one does
    in time. Identical lines are counted if fewer than half a million others lie between them; up
    to a million are remembered, in about 120 bytes each. Raises Invalid where a compressed
    file is broken, after everything before that has been given out.
    """
    broken: list[str] = []
    yield from chunks_of(_lines(raw, broken), lambda: _position(raw), most_lines, identity)
    if broken:
        raise Invalid(broken[0], field="FILE")


def chunks_of(
    numbered: Iterable[tuple[int, bytes] | None],
    position: Callable[[], int],
    most_lines: int,
    identity: Callable[[str], bytes],
) -> Iterator[Chunk]:
    """The same of lines with their numbers; None among them asks for what there is, be it empty."""
    seen: dict[bytes, int] = {}
    before = seen
    numbers: list[int] = []
    lines: list[str] = []
    occurrences: list[int] = []
    size = 0
    fields = ""
    for each in numbered:
        if each is None:
            yield Chunk(numbers, lines, occurrences, position(), fields)
            numbers, lines, occurrences, size = [], [], [], 0
            continue
        number, line = each
        text = _text(line)
        if not lines:
            fields = getattr(identity, "fields", "")
        name = identity(text)
        # A hash of 64 bits: should two lines ever collide, their numbers are still the same each time.
        digest = hashlib.blake2b(name, digest_size=8).digest()
        occurrence = seen[digest] = (seen.get(digest) or before.get(digest, 0)) + 1
        if len(seen) == _REMEMBERED:
            seen, before = {}, seen
        numbers.append(number)
        lines.append(text)
        occurrences.append(occurrence)
        size += len(line)
        enough = len(lines) >= most_lines * 3 // 5 and is_cut(name)
        if enough or len(lines) == most_lines or size >= _CHUNK_BYTES:
            yield Chunk(numbers, lines, occurrences, position(), fields)
            numbers, lines, occurrences, size = [], [], [], 0
    if lines:
        yield Chunk(numbers, lines, occurrences, position(), fields)


def _lines(raw: BufferedReader, broken: list[str]) -> Iterator[tuple[int, bytes]]:
    """Number and content of each line that is not blank; of an endless one only its beginning.

    When the file cannot be read to its end, it ends early and says so in `broken`.
    """
    start = raw.peek(6)
    unpack = next((opened for magic, opened in _PACKED if start.startswith(magic)), None)
    file = cast("IO[bytes]", unpack(raw)) if unpack else raw
    number = 0
    try:
        while line := file.readline(_LONGEST_LINE + 2):
            number += 1
            rest = line
            while rest and not rest.endswith(b"\n") and len(rest) == _LONGEST_LINE + 2:
                rest = file.readline(_LONGEST_LINE + 2)
            stripped = line.strip()
            if stripped:
                yield number, stripped
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        broken.append(f"the file cannot be read further than line {number}: {error}")


def _text(line: bytes) -> str:
    try:
        return line.decode() if len(line) <= _LONGEST_LINE else UNREADABLE
    except UnicodeDecodeError:
        return UNREADABLE


def _position(raw: BufferedReader) -> int:
    try:
        return raw.tell()
    except OSError:  # a pipe
        return 0
