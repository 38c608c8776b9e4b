"""An installation for a worker, with each kind of log; see ../installation.py."""

import time

import pytest

from footfall.eventlog import BACKENDS
from footfall.metrics import WORKER_FULL, WORKER_NEWER, WORKER_PAUSED
from footfall.worker import backoff, loop
from tests.contract.installation import fault, new_world, one_store


@pytest.fixture(scope="module")
async def store(tmp_path_factory):
    async with one_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(params=sorted(BACKENDS.keys() - {"kafka"}))
async def world(request, tmp_path, store, monkeypatch):
    """Its worker does not pause for long."""
    monkeypatch.setattr(backoff, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(backoff, "_LONGEST_PAUSE", 0.01)
    place = {}
    if request.param == "postgres":
        place["log_database"] = request.getfixturevalue("postgres").database()
    async with new_world(request.param, tmp_path, store, **place) as world:
        yield world


@pytest.fixture
async def eager(tmp_path, store, monkeypatch):
    """An installation with the SQLite log whose worker looks for letters to retry all the time."""
    monkeypatch.setattr(backoff, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(backoff, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(loop, "_SECOND", 0.0)
    for gauge in (WORKER_PAUSED, WORKER_NEWER, WORKER_FULL):
        gauge.set(0)
    async with new_world("sqlite", tmp_path, store) as world:
        yield world


class Clock:
    """The clock of this process, which a test moves on."""

    def __init__(self):
        self.start = time.time()
        self.passed = 0.0

    def __call__(self):
        return self.start + self.passed


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def fix():
    """A fault that makes POISON unprocessable; call it to fix that."""
    with fault() as fix:
        yield fix
