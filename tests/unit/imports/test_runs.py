"""Runs of lines: what was imported is known again however the file is cut, and nothing else is."""

import asyncio
import itertools
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from footfall.imports.runs import Lines, Owner, is_cut
from footfall.state.imported_files import ImportedFiles
from footfall.state.tables import open_state

OWNER = Owner("default", "import:test", b"s" * 32)


class Memory:
    """A registry in a dictionary."""

    def __init__(self):
        self.runs = defaultdict(list)

    async def find(self, workspace_id, scope, starts):
        return {start: self.runs[start] for start in starts if start in self.runs}

    async def add(self, workspace_id, scope, runs, imported_at):
        for run in runs:
            self.runs[run.start].append(run)


def names(first, last):
    return [b"line %d" % number for number in range(first, last)]


async def put(registry, chunk):
    """Import a chunk; which of its lines were known before."""
    lines = Lines(chunk, [1] * len(chunk))
    known = await lines.known(registry, OWNER)
    await registry.add(*OWNER[:2], lines.runs(OWNER.secret, known), 0)
    return known


@given(st.lists(st.integers(0, 3000), min_size=2, max_size=8), st.lists(st.integers(0, 3000), max_size=3))
def test_lines_are_known_only_if_they_were_imported(bounds, gaps):
    async def check():
        registry, imported = Memory(), set()
        bounds.sort()
        for start, end in itertools.pairwise(bounds):
            if start in gaps:
                continue
            chunk = names(start, end)
            known = await put(registry, chunk)
            assert {name for name, was in zip(chunk, known, strict=True) if was} <= imported
            imported.update(chunk)
            assert all(await put(registry, chunk))
        whole = await put(registry, names(0, 3200))
        assert {name for name, was in zip(names(0, 3200), whole, strict=True) if was} <= imported

    asyncio.run(check())


def test_a_file_is_known_in_other_chunks_and_behind_another_one():
    async def check():
        registry = Memory()
        await put(registry, names(0, 5000))
        known = await put(registry, [*(b"older %d" % number for number in range(700)), *names(0, 6000)])
        assert known == [False] * 700 + [True] * 5000 + [False] * 1000
        # Where the beginning is cut off, all is known from the first cut on.
        cut = next(number for number in range(100, 5000) if is_cut(b"line %d" % number)) + 1
        assert await put(registry, names(100, 5000)) == [False] * (cut - 100) + [True] * (5000 - cut)

    asyncio.run(check())


def test_other_owners_and_other_occurrences_know_nothing_of_it(tmp_path):
    async def check():
        state = open_state(tmp_path / "state.db")
        registry = ImportedFiles(state)
        chunk = names(0, 2000)
        assert not any(await put(registry, chunk))
        assert all(await put(registry, chunk))
        for owner in (
            OWNER._replace(workspace_id="x"),
            OWNER._replace(scope="x"),
            OWNER._replace(secret=b"x" * 32),
        ):
            assert not any(await Lines(chunk, [1] * 2000).known(registry, owner))
        assert not any(await Lines(chunk, [2] * 2000).known(registry, OWNER))
        assert await Lines([], []).known(registry, OWNER) == []
        await state.close()
        assert b"line 7" not in (tmp_path / "state.db").read_bytes()

    asyncio.run(check())


def doubtful(before, chunk):
    """Which lines of a chunk are known, and which are in doubt, after `before` was imported."""

    async def ask():
        registry = Memory()
        await put(registry, before)
        lines = Lines(chunk, [1] * len(chunk))
        known = await lines.known(registry, OWNER)
        return known, lines.doubtful(known)

    return asyncio.run(ask())


def test_after_an_edit_every_line_is_known_or_in_doubt():
    file = names(0, 5000)
    for at in (0, 1, 300, 2500, 4999):
        for chunk in ([*file[:at], b"edited", *file[at + 1 :]], [*file[:at], *file[at + 1 :]]):
            known, unsure = doubtful(file, chunk)
            neither = [i for i, each in enumerate(known) if not each and not unsure[i]]
            # Behind the last cut of a file nobody can tell an edit from what it has grown by.
            assert all(not any(map(is_cut, chunk[i:])) for i in neither)


def test_what_a_file_has_grown_by_or_was_put_behind_is_not_in_doubt():
    file = names(0, 3000)
    assert not is_cut(file[-1])
    for chunk in (file + names(9000, 12_000), names(9000, 12_000) + file, names(9000, 12_000)):
        known, unsure = doubtful(file, chunk)
        assert not any(unsure)
        assert sum(not each for each in known) == 3000
