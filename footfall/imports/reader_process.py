"""Reading a large file in a process of its own.

Telling lines apart costs as much as half of what the console does with them, and Python runs on one
core a process.
"""

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from multiprocessing.connection import Connection
from pathlib import Path

from footfall.errors import FootfallError, Invalid
from footfall.imports.reader import Chunk, open_input, read_chunks

_WORTH_IT = 1 << 20  # bytes: a smaller file is read before a process has started


@contextmanager
def open_chunks(
    file: str, stdin: BufferedReader, most_lines: int, identity: Callable[[str], bytes]
) -> Generator[tuple[Iterator[Chunk], int]]:
    """The chunks of a file (`-`: of `stdin`), and its size in bytes, 0 if unknown.

    Raises Invalid where the file cannot be read.
    """
    raw, size = open_input(file, stdin)
    with raw:
        if size < _WORTH_IT:
            yield read_chunks(raw, most_lines, identity), size
            return
    context = multiprocessing.get_context("spawn")  # the engine does not survive a fork
    ours, theirs = context.Pipe(duplex=False)
    reader = context.Process(target=_read, args=(theirs, file, most_lines, identity), daemon=True)
    reader.start()
    theirs.close()
    try:
        yield _chunks(ours), size
    finally:
        reader.terminate()
        reader.join()
        ours.close()


def _chunks(pipe: "Connection[None, Chunk | str | None]") -> Iterator[Chunk]:
    """What the other process sends: chunks; at the end None, or in words why it cannot go on."""
    while True:
        try:
            received = pipe.recv()
        except EOFError:
            raise FootfallError("the process that reads the file was ended") from None
        if received is None:
            return
        if isinstance(received, str):
            raise Invalid(received, field="FILE")
        yield received


def _read(
    pipe: "Connection[Chunk | str | None, None]", file: str, most_lines: int, identity: Callable[[str], bytes]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which then ends us
    with suppress(BrokenPipeError), pipe:  # the command was killed
        try:
            with Path(file).open("rb") as raw:
                for chunk in read_chunks(raw, most_lines, identity):
                    pipe.send(chunk)
            pipe.send(None)
        except Invalid as error:
            pipe.send(str(error))
