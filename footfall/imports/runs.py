"""Runs of lines: how a line that was imported before is known again, whatever the file is called now.

A file's lines fall into runs that end where a checksum of a line says so, about every 256
lines. The cuts move with the content: the same lines make the same runs in a file that has
grown, that was compressed, or that was put behind another. The registry holds a digest of
each run that was imported.
"""

import asyncio
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from footfall.state.imported_files import LineRun

_MASK = 255


class Registry(Protocol):
    """What is needed of `state.imported_files`."""

    async def find(
        self, workspace_id: str, scope: str, starts: Sequence[bytes]
    ) -> Mapping[bytes, Sequence[LineRun]]:
        """The runs that begin with one of `starts`, by it."""
        ...

    async def add(self, workspace_id: str, scope: str, runs: Sequence[LineRun], imported_at: int) -> None:
        """Remember runs."""
        ...


class Owner(NamedTuple):
    """Whose runs, and as what they are imported. `secret` keys the digests."""

    workspace_id: str
    scope: str
    secret: bytes


def is_cut(identity: bytes) -> bool:
    """Whether a run ends with this line."""
    return not zlib.crc32(identity) & _MASK


class Lines:
    """The lines of a chunk by what tells them apart (an identity and the number of its occurrence).

    A chunk has 20,000: all but `known` is for a thread.
    """

    def __init__(self, identities: Sequence[bytes], occurrences: Sequence[int]) -> None:
        self.lines = [
            b"%d %b" % (occurrence, identity)
            for identity, occurrence in zip(identities, occurrences, strict=True)
        ]
        self._starts = [0] + [
            index + 1
            for index, identity in enumerate(identities)
            if is_cut(identity) and index + 1 < len(identities)
        ]
        self._ends_with_cut = bool(identities) and is_cut(identities[-1])

    def doubtful(self, known: Sequence[bool]) -> list[bool]:
        """For each line whether it may have been imported although it is not `known`.

        One changed line makes its whole run unknown, so whole runs beside known lines are in doubt: all
        between two known ones, and one at the chunk's begin or end. What a file has grown by, or was
        put behind, begins or ends inside a run, and is not.
        """
        doubtful = [False] * len(self.lines)
        cuts = {*self._starts, len(known)} if self._ends_with_cut else {*self._starts}
        for start, end in _unknown(known):
            if start not in cuts or end not in cuts:
                continue
            last = max(cut for cut in self._starts if cut < end)
            if start > 0 and end == len(known) and start != last:
                continue
            first = start if start > 0 else last
            if start > 0 or end < len(known):
                doubtful[first:end] = [True] * (end - first)
        return doubtful

    def runs(self, secret: bytes, known: Sequence[bool]) -> list[LineRun]:
        """The runs of the chunk, those aside of which every line is `known`."""
        ends = [*self._starts[1:], len(self.lines)]
        return [
            self._run(secret, start, end)
            for start, end in zip(self._starts, ends, strict=True)
            if not all(known[start:end])
        ]

    async def known(self, registry: Registry, owner: Owner) -> list[bool]:
        """For each line whether it was imported before. Raises Retryable."""
        known = [False] * len(self.lines)
        await self._mark(known, self._starts if self.lines else [], registry, owner)
        # A file that was put behind another begins inside one of our runs: the one before what is known.
        ends = [*self._starts[1:], len(self.lines)]
        inside = [
            line
            for start, end in zip(self._starts, ends, strict=True)
            if end < len(known) and known[end] and not known[start]
            for line in range(start + 1, end)
        ]
        await self._mark(known, inside, registry, owner)
        return known

    async def _mark(self, known: list[bool], probes: Sequence[int], registry: Registry, owner: Owner) -> None:
        """Set what is `known` of the runs that begin at one of the `probes`."""
        while probes:
            names = await asyncio.to_thread(self._names, owner.secret, probes)
            found = await registry.find(owner.workspace_id, owner.scope, list(names))
            probes = await asyncio.to_thread(self._mark_found, known, names, found, owner.secret)

    def _names(self, secret: bytes, probes: Sequence[int]) -> dict[bytes, int]:
        return {self._start(secret, probe): probe for probe in probes}

    def _mark_found(
        self,
        known: list[bool],
        names: Mapping[bytes, int],
        found: Mapping[bytes, Sequence[LineRun]],
        secret: bytes,
    ) -> list[int]:
        """Where further runs may begin."""
        further: list[int] = []
        for name, runs in found.items():
            start = names[name]
            same = (run.lines for run in runs if self._is(secret, start, run))
            end = start + max(same, default=0)
            known[start:end] = [True] * (end - start)
            # A chunk or a file ended there once: the next run begins in the middle of one of ours.
            if start < end < len(known) and not known[end] and end not in self._starts:
                further.append(end)
        return further

    def _is(self, secret: bytes, start: int, run: LineRun) -> bool:
        end = start + run.lines
        return end <= len(self.lines) and self._run(secret, start, end) == run

    def _run(self, secret: bytes, start: int, end: int) -> LineRun:
        return LineRun(
            self._start(secret, start),
            end - start,
            _digest(secret, b"footfall lines", b"\0".join(self.lines[start:end])),
        )

    def _start(self, secret: bytes, at: int) -> bytes:
        return _digest(secret, b"footfall line", self.lines[at])


def _unknown(known: Sequence[bool]) -> list[tuple[int, int]]:
    """Begin and end of each stretch of lines that are not known."""
    edges = [0, *(at for at in range(1, len(known)) if known[at] != known[at - 1]), len(known)]
    return [(start, end) for start, end in pairwise(edges) if start < end and not known[start]]


def _digest(secret: bytes, kind: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, key=secret[:64], digest_size=16, person=kind).digest()
