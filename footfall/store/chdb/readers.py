"""Who asks a chDB engine gets a reader of its lane, alone, until it is answered. Used from one event loop."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from footfall.errors import FootfallError, Invalid, StoreDown
from footfall.model.times import Seconds
from footfall.runtime.background import beside, describe
from footfall.runtime.fair import ASKER, Asker, Fair
from footfall.store.chdb.handles import EngineReader, Handle
from footfall.store.error_codes import of_house
from footfall.store.port import HOUSE_SECONDS, Lane

log = structlog.get_logger(__name__)

_KILL_EVERY = 0.2  # seconds

T = TypeVar("T")


class Readers:
    """The readers of all lanes. `commands` is the handle that ends what others run."""

    def __init__(
        self,
        readers: Sequence[EngineReader],
        commands: Handle,
        threads: ThreadPoolExecutor,
        query_timeout: Seconds,
    ) -> None:
        self._readers = readers
        self._commands = commands
        self._threads = threads
        self._longest: dict[Lane, float] = dict.fromkeys(("house", "worker"), HOUSE_SECONDS)
        self._longest["callers"] = query_timeout
        self._idle: Mapping[Lane, Fair[EngineReader]] = {
            lane: _lane_of(readers, lane) for lane in self._longest
        }
        self._asking: dict[EngineReader, Asker] = {}

    async def ask(self, call: Callable[[EngineReader], T], given: float | None, lane: Lane) -> T:
        """What `call` finds with a reader of the lane, within `given` seconds. Raises as `Store.query`."""
        limit = self._longest[lane] if given is None else min(given, self._longest[lane])
        try:
            return await self._ask(call, lane, limit)
        except FootfallError as error:
            if lane == "callers":
                raise
            raise of_house(error) from error

    @asynccontextmanager
    async def nobody_asks(self) -> AsyncGenerator[None]:
        """Callers' questions come to their end; those of the other lanes, which may be long, are ended."""
        taken: list[EngineReader] = []
        taking = asyncio.ensure_future(self._take_all(taken))
        try:
            while not (await asyncio.wait({taking}, timeout=_KILL_EVERY))[0]:
                for reader in [each for each in self._asking if each.lane != "callers"]:
                    await self._kill(reader)
            yield
        finally:
            taking.cancel()
            await asyncio.wait({taking})
            for reader in taken:
                self._idle[reader.lane].give_back(reader)

    async def all_idle(self) -> None:
        """Returns when every question has its answer; nobody may ask from here on."""
        for reader in self._readers:
            await self._idle[reader.lane].take_before_all()

    async def end_of(self, handle: Handle, running: "asyncio.Future[Any]") -> None:
        """Kill what `handle` runs, and wait for its end."""
        # Again and again, because the engine may not have begun it yet.
        while not running.done():
            await self._kill(handle)
            await asyncio.wait({running}, timeout=_KILL_EVERY)
        running.exception()  # its caller has gone

    async def _ask(self, call: Callable[[EngineReader], T], lane: Lane, limit: float) -> T:
        until = time.monotonic() + limit
        reader = await self._take(lane, limit)
        running = asyncio.get_running_loop().run_in_executor(self._threads, call, reader)
        try:
            await asyncio.wait({running}, timeout=max(0.0, until - time.monotonic()))
        except asyncio.CancelledError:
            self._end(reader, running)
            raise
        if not running.done():
            self._end(reader, running)
            raise Invalid(f"the question takes longer than {limit:g} s; ask for a shorter range")
        self._give_back(reader)
        return running.result()

    async def _take(self, lane: Lane, limit: float) -> EngineReader:
        asker = ASKER.get()
        try:
            async with asyncio.timeout(limit):
                reader = await self._idle[lane].take(asker)
        except TimeoutError:
            raise StoreDown("the store is busy with other questions") from None
        self._asking[reader] = asker
        return reader

    async def _take_all(self, taken: list[EngineReader]) -> None:
        for reader in self._readers:
            taken.append(await self._idle[reader.lane].take_before_all())  # noqa: PERF401 -- what was taken goes back, also if this is cancelled

    def _give_back(self, reader: EngineReader) -> None:
        self._idle[reader.lane].give_back(reader, self._asking.pop(reader))

    def _end(self, reader: EngineReader, running: "asyncio.Future[Any]") -> None:
        """Kill what `reader` runs, then give it back; nobody waits for that."""
        beside("kill", self._end_and_give_back(reader, running))

    async def _end_and_give_back(self, reader: EngineReader, running: "asyncio.Future[Any]") -> None:
        await self.end_of(reader, running)
        self._give_back(reader)

    async def _kill(self, handle: Handle) -> None:
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._commands.kill, handle.name)
        try:
            await running
        except Exception as error:  # noqa: BLE001 -- max_execution_time of a reader ends it in any case
            log.warning("a question could not be killed", problem=describe(error))


def _lane_of(readers: Sequence[EngineReader], lane: Lane) -> Fair[EngineReader]:
    """A lane's readers. Of the callers', one is always left to other workspaces."""
    found = [reader for reader in readers if reader.lane == lane]
    return Fair(found, max(1, len(found) - 1) if lane == "callers" else len(found))
