"""A question that fails, or is ended, leaves nothing of what it found to those who ask next."""

import asyncio

import pytest

from footfall.errors import FootfallError
from footfall.settings import Settings
from footfall.store import BACKENDS
from tests.contract.test_store import opened

pytestmark = pytest.mark.anyio

READERS = 8  # at least as many as there are
# Both put out rows before they come to their end.
FAILS = "SELECT 'secret' AS s, throwIf(number = 300000) AS n FROM numbers(1000000)"
ENDLESS = "SELECT 'secret' AS s, number AS n FROM numbers(100000000000)"
MINE = "SELECT 'mine' AS s, 1 AS n"


@pytest.fixture(params=BACKENDS)
async def store(request, tmp_path):
    async with opened(Settings(data=tmp_path / "data", store=request.param)) as store:
        yield store


async def nobody_else_s_rows(store):
    """Whatever reader answers, in rows or in columns, it answers what it is asked."""
    for _ in range(READERS):
        assert await store.query(MINE) == [("mine", 1)]
        assert (await store.arrow(MINE)).to_pylist() == [{"s": "mine", "n": 1}]


@pytest.mark.parametrize("way", ["query", "arrow"])
async def test_a_question_that_fails_after_its_first_rows(store, way):
    for _ in range(READERS):
        with pytest.raises(FootfallError):
            await getattr(store, way)(FAILS)
        await nobody_else_s_rows(store)


@pytest.mark.parametrize("way", ["query", "arrow"])
async def test_a_question_that_takes_too_long(store, way):
    for _ in range(3):
        with pytest.raises(FootfallError):
            await getattr(store, way)(ENDLESS, timeout=0.2)
        await nobody_else_s_rows(store)


@pytest.mark.parametrize("way", ["query", "arrow"])
async def test_a_question_that_nobody_waits_for_any_more(store, way):
    for _ in range(3):
        asking = asyncio.create_task(getattr(store, way)(ENDLESS))
        await asyncio.wait({asking}, timeout=0.2)
        asking.cancel()
        await asyncio.wait({asking})
        await nobody_else_s_rows(store)
