"""The oracle's book: what was sent, and what came back. One line an entry, written at once.

    phase NAME               what follows belongs to this phase of the faults
    sent TOKEN ...           events with ids under way; each has a token, a number that nobody else uses
    unnamed TOKEN ...        the same without ids, so that the door gives them theirs
    click TOKEN              a click under way
    safe TOKEN ...           acknowledged: 202, or a redirect with Footfall-Logged: yes
    refused STATUS TOKEN ... answered, but not taken
    pending TOKEN            a redirect that could not wait for the log
    id TOKEN EVENT_ID        the Footfall-Event of a redirect
    wrong TEXT               an answer that must never be given
    latency PHASE MS ...     how long redirects took

A token that was sent and never answered may be stored or not, but once at most. Events carry
their token in the query of `page_url`, clicks in that of the short link.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from uuid import UUID


def event_id(token: int) -> str:
    """The id that the oracle gives to the event with this token."""
    return str(UUID(bytes=blake2b(token.to_bytes(8, "big"), digest_size=16).digest()))


class Writer:
    """Writes a book. A line is with the kernel when `write` returns: killing the oracle loses none."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, word: str, *values: object) -> None:
        """Add a line."""
        os.write(self._file, f"{' '.join(map(str, (word, *values)))}\n".encode())

    def close(self) -> None:
        """Make the book durable."""
        os.fsync(self._file)
        os.close(self._file)


class Book:
    """All that one or several oracles wrote."""

    def __init__(self) -> None:
        self.sent: dict[int, str] = {}  # token -> phase in which it was sent first
        self.unnamed: set[int] = set()  # the door gives them their ids
        self.safe: set[int] = set()
        self.refused: dict[int, int] = {}  # token -> status
        self.pending: set[int] = set()
        self.ids: dict[int, str] = {}  # token -> Footfall-Event
        self.wrong: list[str] = []
        self.latencies: dict[str, list[float]] = {}  # phase -> milliseconds

    @property
    def unanswered(self) -> set[int]:
        """Sent, and nobody knows."""
        return self.sent.keys() - self.safe - self.pending - self.refused.keys()

    def event_id(self, token: int) -> str | None:
        """The id under which it must be stored; None when only the door knows."""
        return self.ids.get(token) if token in self.unnamed else event_id(token)

    def read(self, path: Path) -> None:
        """Add what `path` says; a line torn by the oracle's own end says nothing."""
        phase = ""
        for line in path.read_text().split("\n")[:-1]:
            word, _, rest = line.partition(" ")
            match word:
                case "phase":
                    phase = rest
                case "sent" | "unnamed" | "click":
                    tokens = _tokens(rest)
                    for token in tokens:
                        self.sent.setdefault(token, phase)
                    if word != "sent":
                        self.unnamed.update(tokens)
                case "safe":
                    self.safe.update(_tokens(rest))
                case "refused":
                    status, *tokens = _tokens(rest)
                    self.refused |= dict.fromkeys(tokens, status)
                case "pending":
                    self.pending.update(_tokens(rest))
                case "id":
                    token, name = rest.split()
                    self.ids[int(token)] = name
                case "wrong":
                    self.wrong.append(rest)
                case "latency":
                    name, *times = rest.split()
                    self.latencies.setdefault(name, []).extend(map(float, times))
                case _:
                    raise ValueError(f"{path}: no such line: {line}")


def read(paths: Iterable[Path]) -> Book:
    """The books of several oracles as one."""
    book = Book()
    for path in paths:
        book.read(path)
    return book


def _tokens(text: str) -> list[int]:
    return [int(part) for part in text.split()]
