"""A bounded cache in front of one kind of thing in the metadata database.

Look-ups that miss at the same time are answered by one query, and never by more than one
thread: a storm of unknown codes costs the door no more than a stream of queries, one after
the other.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from footfall.database import Database
from footfall.runtime.background import beside
from footfall.tenants.tables import current_version

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_AT_ONCE = 500  # names in one query
_MOST_ABSENT = 10_000
_MEMORY = 8 << 20


class Unknown(Enum):
    """The type of `UNKNOWN`: the cache cannot tell, the database must be asked."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class Cache(Generic[K, V]):
    """Keeps the `size` things used last at most, and some thousand names of what does not exist.

    Both also in bytes: what is kept takes `memory` at most, about, and the names a quarter of that.
    """

    def __init__(
        self,
        database: Database,
        fetch: Callable[[Connection, Sequence[K]], Mapping[K, V]],
        size: int,
        applied: Callable[[], int],
        memory: int = _MEMORY,
    ) -> None:
        """`fetch` finds those names that exist; `applied` is the last change told with `forget`."""
        self._database = database
        self._fetch = fetch
        self._applied = applied
        self._present: _Generations[K, V] = _Generations(size, memory)
        self._absent: _Generations[K, None] = _Generations(min(size, _MOST_ABSENT), memory // 4)
        self._wanted: dict[K, asyncio.Future[V | None]] = {}
        self._loading: asyncio.Task[None] | None = None

    def cached(self, name: K) -> V | Unknown | None:
        """The thing, None if there is none, UNKNOWN if the cache cannot tell. No I/O."""
        found = self._present.get(name)
        if found is UNKNOWN:
            return self._absent.get(name)
        return found

    async def get(self, name: K) -> V | None:
        """The thing, or None if there is none. Raises Retryable when the database does not answer."""
        found = self.cached(name)
        if found is not UNKNOWN:
            return found
        # Shielded: others may wait for the same thing.
        return await asyncio.shield(self._want(name))

    async def get_all(self, names: Iterable[K]) -> dict[K, V]:
        """Those of `names` that exist, with one look-up for all that the cache cannot tell.

        Raises Retryable when the database does not answer.
        """
        found: dict[K, V] = {}
        wanted: dict[K, asyncio.Future[V | None]] = {}
        for name in names:
            value = self.cached(name)
            if value is UNKNOWN:
                wanted[name] = self._want(name)
            elif value is not None:
                found[name] = value
        if wanted:
            await asyncio.wait(wanted.values())  # cancels none of them, as others may wait, too
            found |= {
                name: value for name, future in wanted.items() if (value := future.result()) is not None
            }
        return found

    def _want(self, name: K) -> asyncio.Future[V | None]:
        future = self._wanted.get(name)
        if future is None:
            future = self._wanted[name] = asyncio.get_running_loop().create_future()
        if self._loading is None:
            self._loading = beside("lookup", self._load())
        return future

    def forget(self, name: K) -> None:
        """It has changed."""
        self._present.drop(name)
        self._absent.drop(name)

    def clear(self) -> None:
        """Anything may have changed."""
        self._present.clear()
        self._absent.clear()

    async def _load(self) -> None:
        """Answer what is wanted until nothing more is."""
        try:
            while self._wanted:
                names = list(self._wanted)[:_AT_ONCE]
                waiting = {name: self._wanted.pop(name) for name in names}
                await self._answer(waiting)
        finally:
            self._loading = None

    async def _answer(self, waiting: dict[K, asyncio.Future[V | None]]) -> None:
        names = list(waiting)
        try:
            # The version first: what is read after it is at least as new.
            version, found = await self._database.read(
                lambda connection: (current_version(connection), self._fetch(connection, names))
            )
        except Exception as error:  # noqa: BLE001 -- whoever waits must hear of it, whatever it is
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # mark as seen: the waiter may have been cancelled
            return
        # A change that was applied while this was being read may have been missed by it.
        current = version >= self._applied()
        for name, future in waiting.items():
            value = found.get(name)
            if current and value is not None:
                self._present.put(name, value)
            elif current:
                self._absent.put(name, None)
            if not future.done():
                future.set_result(value)


class _Generations(Generic[K, V]):
    """At most `size` entries of at most about `memory` bytes, at least the half of them that was used last.

    What is used moves to the young dict; when that is full, it becomes the old one, and what
    stayed in the old one is dropped. A hit costs one look-up, less than keeping an exact order.
    """

    def __init__(self, size: int, memory: int) -> None:
        self._half = max(1, size // 2)
        self._half_memory = memory // 2
        self._bytes = 0  # put into the young dict
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, name: K) -> V | Unknown:
        found = self._young.get(name, UNKNOWN)
        if found is UNKNOWN and name in self._old:
            found = self._old[name]
            self.put(name, found)
        return found

    def put(self, name: K, value: V) -> None:
        size = _size(name) + _size(value)
        if len(self._young) >= self._half or (self._young and self._bytes + size > self._half_memory):
            self._old = self._young
            self._young = {}
            self._bytes = 0
        self._young[name] = value
        self._bytes += size

    def drop(self, name: K) -> None:
        self._young.pop(name, None)
        self._old.pop(name, None)

    def clear(self) -> None:
        self._young = {}
        self._old = {}
        self._bytes = 0


def _size(thing: Any) -> int:
    """About the bytes that it takes in memory."""
    if isinstance(thing, str):
        return 60 + len(thing) * (1 if thing.isascii() else 4)
    if isinstance(thing, Struct):
        thing = msgspec.structs.astuple(thing)
    if isinstance(thing, tuple):
        return 60 + sum(map(_size, cast("tuple[Any, ...]", thing)))
    return 40
