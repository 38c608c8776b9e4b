"""`footfall serve`, `door`, `worker`, `console` and `migrate`: the roles as processes."""

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import structlog
import uvloop
from cyclopts import Parameter

from footfall import main
from footfall.cli.options import Data
from footfall.cli.terminal import say, warn
from footfall.database import place_of
from footfall.errors import Misconfigured
from footfall.runtime import data_directory, logs, open_files
from footfall.runtime import supervisor as supervise
from footfall.runtime.background import beside
from footfall.runtime.lifetime import lifetime
from footfall.runtime.tcp_ports import answers, free_port, is_free
from footfall.settings import Settings, load

Host = Annotated[str | None, Parameter(help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, Parameter(help="The door's port. [default: 8000]")]
ConsoleHost = Annotated[
    str | None, Parameter(help="Address for the console, if it is another. [default: as --host]")
]
ConsolePort = Annotated[int | None, Parameter(help="The console's port. [default: 8001]")]


New = Annotated[
    bool,
    Parameter(negative="", help="Let links and keys (meta.db), or the log, begin anew where they are gone."),
]


@Parameter(name="*")
@dataclass(frozen=True)
class RoleOptions:
    """Where to keep the data and to listen; footfall.toml and FOOTFALL_* variables set the rest."""

    data: Data = None
    host: Host = None
    port: Port = None
    console_port: ConsolePort = None
    console_host: ConsoleHost = None

    def settings(self) -> Settings:
        """The settings; port 0 becomes one that is free now."""
        settings = load(
            data=self.data,
            host=self.host,
            port=self.port,
            console_port=self.console_port,
            console_host=self.console_host,
        )
        chosen = {
            name: free_port(_address(settings, name))
            for name in ("port", "console_port")
            if getattr(settings, name) == 0
        }
        return settings if not chosen else replace(self, **chosen).settings()


DEFAULTS = RoleOptions()

# Given by the supervisor (and the demo) to its children only (see runtime/supervisor.py).
Lifeline = Annotated[int | None, Parameter(show=False)]


def serve(
    *,
    where: RoleOptions = DEFAULTS,
    new: New = False,
    lifeline: Lifeline = None,
) -> int:
    """Run everything on this machine: the door, the worker and the console.

    Stop it with Ctrl-C. The first start shows the admin key, once.
    """
    settings = where.settings()
    open_files.check_limit()
    if lifeline is not None:
        supervise.follow(lifeline)
    with data_directory.DataLock.acquire(settings.data, "footfall serve") as lock:
        _check_free(settings, "port", "console_port")
        key = _first_start(settings, new=new)
        logs.configure(settings.log_level)
        with _announced(settings), lifetime("supervisor", settings) as started:
            started()
            return asyncio.run(_supervise(settings, lock, key))


def door(*, where: RoleOptions = DEFAULTS, lifeline: Lifeline = None) -> None:
    """Run a door only: it takes events and clicks, and needs a worker elsewhere to store them."""
    settings = where.settings()
    open_files.check_limit()
    if lifeline is None:
        _check_free(settings, "port")
    else:
        supervise.follow(lifeline)
    uvloop.run(main.run_door(settings))


def worker(
    *,
    where: RoleOptions = DEFAULTS,
    with_console: Annotated[
        bool,
        Parameter(
            name=("--with-console", "--with-query"),
            negative=(),
            help="Run the console in the same process.",
        ),
    ] = False,
    lifeline: Lifeline = None,
) -> None:
    """Run the worker only: it takes events from the log into the store."""
    settings = where.settings()
    with _alone(settings, "footfall worker", lifeline, console=with_console):
        uvloop.run(main.run_worker(settings, with_console=with_console))


def console(*, where: RoleOptions = DEFAULTS, lifeline: Lifeline = None) -> None:
    """Run the console only: the API that answers questions."""
    settings = where.settings()
    with _alone(settings, "footfall console", lifeline, console=True):
        uvloop.run(main.run_console(settings))


def migrate(*, data: Data = None) -> None:
    """Bring the store's schema up to date. `serve` and `worker` do it by themselves when they start."""
    settings = load(data=data)
    with data_directory.DataLock.acquire(settings.data, "footfall migrate"):
        applied = asyncio.run(main.migrate(settings))
    say("\n".join(f"applied {name}" for name in applied) or "nothing to do: the schema is up to date")


def rebuild_state(*, data: Data = None, new: New = False) -> None:
    """Make a lost, damaged or older state.db anew of what the store and the log hold.

    The server must be stopped. The old file is kept beside it.
    """
    settings = load(data=data)
    with data_directory.DataLock.acquire(settings.data, "footfall rebuild-state"):
        done, aside = asyncio.run(main.rebuild_state(settings, new=new))
    place = place_of(settings, "state")
    say(f"{place} is new: {done.stored:,} events of {done.shards} shards are stored")
    if done.letters:
        say(
            f"{done.letters:,} events of the log are not in the store: look with `footfall dead-letters list`"
        )
    if aside:
        say(f"The old one is {aside}")
    say(
        "Not known any more: events that were refused, duplicates or dead letters before the log begins;\n"
        "which files were imported (do not import them again); how long single sites keep their events.\n"
        "Visitors of today and yesterday count anew; rollups are made anew."
    )


def rebuild_store(*, data: Data = None, new: New = False) -> None:
    """Begin a new store where it is lost or older; the next start stores again what the log still holds.

    The server must be stopped. What there is of the old store is kept beside it.
    """
    settings = load(data=data)
    with data_directory.DataLock.acquire(settings.data, "footfall rebuild-store"):
        done, aside = asyncio.run(main.rebuild_store(settings, new=new))
    say(
        f"{settings.data / 'store'} is new: {done.waiting:,} events of the log are stored again at the next"
        f" start\n{done.lost:,} events that the log has no more are lost in the ledger"
    )
    if aside:
        say(f"The old one is {aside}")


@contextmanager
def _alone(settings: Settings, command: str, lifeline: int | None, *, console: bool) -> Generator[None]:
    """What a role needs that owns the embedded store: the lock, unless its supervisor holds it."""
    open_files.check_limit()
    if lifeline is not None:
        supervise.follow(lifeline)
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(data_directory.DataLock.acquire(settings.data, command))
        if console:
            _check_free(settings, "console_port")
        _first_start(settings)
        if console:
            stack.enter_context(_announced(settings))
        yield


def _first_start(settings: Settings, *, new: bool = False) -> str | None:
    """Make the data directory usable; the key of its first start is shown, and returned."""
    key = asyncio.run(main.prepare(settings, new=new))
    if settings.admin_key.get_secret_value():
        return None  # who set it knows it, and it has no place in the output
    if key:
        say(f"\nAdmin key (shown only now, keep it): {key}\n")
    return key


@contextmanager
def _announced(settings: Settings) -> Generator[None]:
    """`run.json` is there as long as the server runs; on a full disk it runs without."""
    run = data_directory.RunFile(
        pid=os.getpid(),
        identity=data_directory.identity(os.getpid()),
        host=settings.host,
        port=settings.port,
        console_port=settings.console_port,
        door_url=settings.door_url,
        console_url=settings.console,
        token=data_directory.new_token(),
        console_host=settings.console_host,
    )
    try:
        data_directory.write(settings.data, run)
    except OSError as error:
        warn(f"run.json could not be written ({error.strerror}): commands will not find this server")
    try:
        yield
    finally:
        data_directory.remove(settings.data)


def _check_free(settings: Settings, *names: str) -> None:
    """Raises Misconfigured when one of these settings names a port that cannot be had."""
    ports = [int(getattr(settings, name)) for name in names]
    if len(set(ports)) < len(ports) and settings.console_address == settings.host:
        raise Misconfigured(f"port and console_port are both {settings.port}; they must differ")
    for name, port in zip(names, ports, strict=True):
        if not is_free(_address(settings, name), port):
            option = "--" + name.replace("_", "-")
            raise Misconfigured(f"port {port} is in use by another program; choose another with {option}")


def _address(settings: Settings, port: str) -> str:
    """The address to which a setting of a port belongs."""
    return settings.console_address if port == "console_port" else settings.host


async def _supervise(settings: Settings, lock: data_directory.DataLock, key: str | None) -> int:
    footfall = [sys.executable, "-m", "footfall"]
    common = [
        *("--data", str(settings.data), "--host", settings.host),
        *("--port", str(settings.port), "--console-port", str(settings.console_port)),
        *(("--console-host", settings.console_host) if settings.console_host else ()),
    ]
    supervisor = supervise.Supervisor(
        [
            supervise.Child("the door", [*footfall, "door", *common]),
            supervise.Child("the worker", [*footfall, "worker", "--with-console", *common]),
        ],
        say=_tell,
        inherit=(lock.fd,),
    )
    greeting = beside("greeting", _greet(settings, key))
    try:
        return await supervisor.run()
    finally:
        greeting.cancel()


def _tell(line: str) -> None:
    """What happens to the processes."""
    structlog.get_logger().warning(line)


async def _greet(settings: Settings, key: str | None) -> None:
    """Say where everything is, once it answers."""
    for url in (
        data_directory.base_url(settings.host, settings.port),
        data_directory.base_url(settings.console_address, settings.console_port),
    ):
        while not await asyncio.to_thread(answers, f"{url}/health/live"):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.1)
    header = '-H "Authorization: Bearer $KEY"'
    known = (
        f"export KEY={key}" if key else "export KEY=ff_...    # lost? footfall keys new NAME --scope admin"
    )
    say(
        f"Door      {settings.door_url}\n"
        f"Console   {settings.console}\n"
        f"Data      {settings.data.resolve()}\n\n"
        "For the examples, here and in the README:\n"
        f"  {known}\n"
        "A first event:\n"
        f"  curl {settings.door_url}/v1/events {header} \\\n"
        """       -H 'Content-Type: application/json' -d '{"events": [{"event_type": "signup"}]}'\n"""
        "What came in:\n"
        f"  curl {settings.console}/api/v1/analytics/overview {header}\n"
        "The site's id, for pages:\n"
        f"  footfall sites list --data {settings.data}\n"
        "Stop with Ctrl-C."
    )
