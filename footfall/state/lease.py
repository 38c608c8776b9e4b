"""Leases: one worker per log, and a number that stops the one who lost it.

The clock decides only when a silent holder may be replaced. That the replaced one does no
harm is decided by its fencing number: each new holder gets the next one, and a transaction
made under an older number fails (M. Kleppmann, "How to do distributed locking", 2016).
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import Connection

from footfall.database import Database, insert
from footfall.errors import Conflict
from footfall.model.times import Seconds
from footfall.runtime.data_directory import identity
from footfall.state.tables import leases


class Fence(Struct, frozen=True):
    """A lease as its holder shows it: the number grows with each new holder."""

    name: str
    number: int


def this_process() -> str:
    """A name for this process as an owner; `is_gone` can tell on the same machine that it ended."""
    return f"{_machine()} {os.getpid()} {identity(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether the process that `this_process` named certainly ended; False where that is not known."""
    machine, pid, born = (*owner.split(" ", 2), "", "")[:3]
    return machine == _machine() and pid.isdecimal() and identity(int(pid)) != born


class Lease:
    """Leases of the state database. `clock` gives Unix seconds; holders should roughly agree on it."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._safe_until: dict[Fence, float] = {}  # by the monotonic clock

    async def acquire(self, name: str, owner: str, seconds: Seconds) -> Fence:
        """Take the lease `name` for some seconds: if it is free, has expired, or its holder is gone.

        `owner`: who asks, up to 200 characters, best `this_process()`. Raises Conflict, naming
        the holder.
        """
        asked = time.monotonic()

        def write(connection: Connection) -> Fence:
            now = round(self._clock() * 1000)
            statement = insert(connection, leases).values(name=name, owner=owner, fence=0, expires_at=0)
            connection.execute(statement.on_conflict_do_nothing(index_elements=[leases.c.name]))
            row = connection.execute(sa.select(leases).where(leases.c.name == name)).one()
            if row.expires_at > now and not is_gone(row.owner):
                seconds_left = (row.expires_at - now) / 1000
                raise Conflict(f"the lease {name} is held by {row.owner} for {seconds_left:.1f} s more")
            connection.execute(
                leases.update()
                .where(leases.c.name == name)
                .values(owner=owner, fence=row.fence + 1, expires_at=now + round(seconds * 1000))
            )
            return Fence(name, row.fence + 1)

        fence = await self._database.run(write)
        self._safe_until[fence] = asked + seconds
        return fence

    async def renew(self, fence: Fence, seconds: Seconds) -> None:
        """Hold the lease for some seconds from now. Raises Conflict, naming who took it."""
        asked = time.monotonic()

        def write(connection: Connection) -> None:
            check(connection, fence)
            until = round((self._clock() + seconds) * 1000)
            connection.execute(leases.update().where(leases.c.name == fence.name).values(expires_at=until))

        await self._database.run(write)
        self._safe_until[fence] = asked + seconds

    async def release(self, fence: Fence) -> None:
        """Give the lease up, if it is still held. Its number stays used."""

        def write(connection: Connection) -> None:
            connection.execute(
                leases.update()
                .where(leases.c.name == fence.name, leases.c.fence == fence.number)
                .values(expires_at=0)
            )

        self._safe_until.pop(fence, None)
        await self._database.run(write)

    def holds(self, fence: Fence, margin: float = 0.0) -> bool:
        """Whether nobody can have taken the lease yet, `margin` seconds from now included. No I/O.

        To be asked before an insert, which no transaction of the state database can stop.
        """
        return time.monotonic() + margin < self._safe_until.get(fence, 0.0)


def check(connection: Connection, fence: Fence | None) -> None:
    """Raise Conflict, which undoes the caller's transaction, unless `fence` (if any) is current."""
    if fence is None:
        return
    # Writers take turns, so nobody can take the lease over before this transaction ends.
    row = connection.execute(sa.select(leases).where(leases.c.name == fence.name)).one_or_none()
    if row is None or row.fence != fence.number:
        holder = "nobody" if row is None else row.owner
        raise Conflict(f"the lease {fence.name} was taken over by {holder}: this worker must stop")


def _machine() -> str:
    """Host and, on Linux, pid namespace: containers may share a host's name but not its pids."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{namespace}"
