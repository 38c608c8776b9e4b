"""The judge: faults have stopped; is everything that was acknowledged in the store, and once?

And do the rollups say what the rows say: by an answer of the running server, and by `verify` (rows.py).
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.e2e.serving import environment
from tests.faults.harness import book as books
from tests.faults.harness.book import Book
from tests.faults.harness.installation import PATIENCE, Installation
from tests.faults.harness.rows import Row, parse

T = TypeVar("T")


@dataclass
class Verdict:
    """What became of the events under one fault."""

    fault: str
    rounds: int
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    balanced: bool | None = None  # None: no ledger takes part
    slowest_restart: float = 0.0  # seconds
    notes: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing twice, nothing else wrong."""
        return not self.problems


def judge(fault: str, rounds: int, installation: Installation, *, pending_is_stored: bool = True) -> Verdict:
    """Wait until the backlog is drained, stop the server, compare. Oracles must have been stopped.

    `pending_is_stored`: no door was killed, so clicks that were answered `pending` must be there too.
    The installation is left without a running server.
    """
    installation.drained()
    balanced = installation.ledger_balanced()
    answered = installation.counted()
    installation.stop()
    rows, problems = stored(installation)
    verdict = compare(books.read(installation.books), rows, pending_is_stored=pending_is_stored)
    verdict.problems += problems
    if answered != len(rows):
        verdict.problems.append(f"a question was answered with {answered} events, but there are {len(rows)}")
    verdict.fault, verdict.rounds, verdict.balanced = fault, rounds, balanced
    verdict.slowest_restart = max(installation.restarts, default=0.0)
    if balanced is False:
        verdict.problems.append("the ledger does not balance")
    if "Traceback" in (said := installation.output.read_text(errors="replace")):
        verdict.notes.append(f"{said.count('Traceback')} tracebacks in the output")
    return verdict


def stored(installation: Installation) -> tuple[list[Row], list[str]]:
    """All rows of the store, and what is wrong with its rollups; no process may have it open."""
    command = [
        *installation.prefix,
        sys.executable,
        "-m",
        "tests.faults.harness.rows",
        str(installation.data),
    ]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def compare(book: Book, rows: Collection[Row], *, pending_is_stored: bool) -> Verdict:
    """The book against the rows."""
    promised = book.safe | book.pending if pending_is_stored else book.safe
    copies = Counter(row.token for row in rows)
    lost = [token for token in promised if token not in copies]
    twice = [token for token, count in copies.items() if count > 1]
    unknown = [row for row in rows if row.token not in book.sent]
    misnamed = [row for row in rows if (book.event_id(row.token) or row.event_id) != row.event_id]
    verdict = Verdict("", 0, len(promised), len(lost), sum(copies[token] - 1 for token in twice))
    for name, tokens in (("lost", lost), ("stored twice or more", twice)):
        if tokens:
            phases = Counter(book.sent.get(token, "?") for token in tokens)
            shown = ", ".join(f"{phase or '-'}: {count}" for phase, count in phases.most_common(40))
            verdict.problems.append(f"{len(tokens)} events {name}, by phase: {shown}")
    for name, found in (
        ("rows that nobody sent", unknown),
        ("rows with another event id than was answered", misnamed),
        ("positions with several rows", _repeated((row.shard, row.seq) for row in rows)),
        ("event ids with several rows", _repeated(row.event_id for row in rows)),
        ("answers that must never be given", book.wrong),
    ):
        if found:
            verdict.problems.append(f"{len(found)} {name}: {found[:3]}")
    if not promised:
        verdict.problems.append("nothing was acknowledged: the test shows nothing")
    verdict.notes.append(f"{len(book.unanswered)} unanswered, {len(book.refused.keys() - book.safe)} refused")
    return verdict


def _repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]
