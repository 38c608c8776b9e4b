"""Whether this machine and this data directory can run Footfall: one check, one line.

`fail` means it will not run, `warn` that it will, but look at this.
"""

import asyncio
import json
import os
import platform
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from footfall import installation
from footfall.database import PostgresSchema
from footfall.enrich.geo import GeoReader
from footfall.enrich.pipeline import check_lists
from footfall.errors import FootfallError, Misconfigured, Retryable
from footfall.eventlog import ELSEWHERE, open_log
from footfall.eventlog.port import WORKER
from footfall.runtime import data_directory, open_files
from footfall.runtime.tcp_ports import is_free
from footfall.settings import Settings

_GIB = 1 << 30
_LITTLE_DISK = 5 * _GIB
_NO_DISK = _GIB // 2
_OLD_GEO_DAYS = 400
_FEW_FILES = 4096
_CLOCK_SLACK = 300.0  # seconds

# What ClickHouse's x86-64 binaries are built for; with AVX2 they choose faster code at run time.
_NEEDED_CPU = {"sse4_2", "popcnt", "pclmulqdq"}
_PROBE = "import chdb; print(chdb.query('SELECT version()', 'CSV').bytes().decode().strip().strip('\"'))"


class Check(NamedTuple):
    """One line of the result."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, in order; the engine's takes a second or two."""
    run = data_directory.running(settings.data)
    yield from _directory(settings.data, run)
    yield _parts(settings)
    yield from _disk(settings.data)
    yield _port("port", settings.host, settings.port, run and run.port, run)
    yield _port(
        "console_port", settings.console_address, settings.console_port, run and run.console_port, run
    )
    yield _cpu()
    yield _memory(settings)
    yield _files()
    yield Check("Python", "ok", platform.python_version())
    yield Check("SQLite", "ok", sqlite3.sqlite_version)
    yield _engine()
    yield _lists()
    yield _geo(settings)
    yield _clock(settings.data)
    if settings.database.get_secret_value():
        yield _database(settings)
    if settings.log in ELSEWHERE:
        yield _log(settings)
    if settings.read_clicks:
        yield _clicks_topic(settings)


def exit_status(checks: Sequence[Check]) -> int:
    """1 when anything failed."""
    return int(any(check.state == "fail" for check in checks))


def _existing(path: Path) -> Path:
    """The nearest directory that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _directory(data: Path, run: data_directory.RunFile | None) -> Iterator[Check]:
    name = "data directory"
    base = _existing(data)
    where = str(data.absolute())
    if not base.is_dir():
        yield Check(name, "fail", f"{base} is not a directory")
        return
    try:
        with tempfile.TemporaryFile(dir=base) as file:
            file.write(b"footfall")
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            took = time.perf_counter() - started
    except OSError as error:
        yield Check(name, "fail", f"{base} cannot be written: {error.strerror}")
        return
    slow = took > 0.05
    detail = where if data.exists() else f"{where}: not there yet, will be made"
    yield Check(name, "warn" if slow else "ok", f"{detail}; one fsync takes {took * 1000:.1f} ms")
    by = data_directory.holder(data)
    if by:
        yield Check("in use", "ok", f"by {by}" + (f", console at {run.console}" if run else ""))
    elif data.exists():
        yield Check("in use", "ok", "by nobody")


def _parts(settings: Settings) -> Check:
    """Whether databases, log and store belong together, and the databases are whole."""
    name = "its parts"
    try:
        found = installation.examine(settings)
    except FootfallError as error:
        return Check(name, "fail", str(error))
    return Check(name, "ok", f"of installation {found}" if found else "none yet")


def _disk(data: Path) -> Iterator[Check]:
    free = shutil.disk_usage(_existing(data)).free
    state = "fail" if free < _NO_DISK else "warn" if free < _LITTLE_DISK else "ok"
    yield Check("free disk", state, f"{free / _GIB:.1f} GiB")


def _port(setting: str, host: str, port: int, used: int | None, run: data_directory.RunFile | None) -> Check:
    """A port that the server of this data directory uses, else whether it could be had."""
    name = setting.replace("_", " ")
    if run and used:
        detail = f"{used}: held by the running server (process {run.pid})"
        return Check(name, "ok", detail if port in (used, 0) else f"{detail}; the settings here say {port}")
    try:
        free = port == 0 or is_free(host, port)
    except Misconfigured as error:
        return Check(name, "fail", str(error))
    return Check(name, "ok" if free else "fail", f"{port}: {'free' if free else 'in use by another program'}")


def _cpu() -> Check:
    machine = platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return Check("CPU", "ok", f"{machine}, {os.cpu_count()} cores")
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    detail = f"{machine}, {os.cpu_count()} cores"
    if machine != "x86_64" or not flags:
        return Check("CPU", "ok", detail)
    missing = sorted(_NEEDED_CPU - set(flags))
    if missing:
        return Check("CPU", "fail", f"{detail}; the engine needs {', '.join(missing)}")
    if "avx2" not in flags:
        return Check("CPU", "warn", f"{detail}; without AVX2 the engine is slower")
    return Check("CPU", "ok", f"{detail}, SSE4.2 and AVX2")


def _memory(settings: Settings) -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    detail = f"{total / _GIB:.1f} GiB; the engine may use {settings.store_memory / _GIB:.1f}"
    return Check("memory", "warn" if total < 1.5 * settings.store_memory else "ok", detail)


def _files() -> Check:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # to which every process raises its own
    most = open_files.WANTED if hard == resource.RLIM_INFINITY else hard
    few = most < _FEW_FILES
    hint = f"; a busy door wants {_FEW_FILES} or more (ulimit -Hn)" if few else ""
    return Check("open files", "warn" if few else "ok", f"{most}{hint}")


def _engine() -> Check:
    """Ask the engine, in a process of its own: on a CPU that lacks something it dies."""
    try:
        done = subprocess.run(  # noqa: S603 -- our own interpreter and text
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return Check("engine", "fail", "did not answer within a minute")
    if done.returncode == -signal.SIGILL:
        return Check("engine", "fail", "this CPU lacks instructions that it needs")
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"ended with status {done.returncode}"]
        return Check("engine", "fail", reason[0])
    return Check("engine", "ok", f"ClickHouse {done.stdout.strip()} (chDB)")


def _lists() -> Check:
    """Whether the lists that the package is built with are there."""
    try:
        check_lists()
    except Misconfigured as error:
        return Check("lists of agents", "fail", str(error))
    return Check("lists of agents", "ok", "browsers, devices and bots")


def _geo(settings: Settings) -> Check:
    try:
        built = GeoReader(settings.geo_database).build_date
    except Misconfigured as error:
        return Check("geo data", "fail", str(error))
    if built is None:
        return Check("geo data", "warn", "none: countries stay empty")
    age = (datetime.now(UTC).date() - built).days
    hint = "; networks move, get newer data" if age > _OLD_GEO_DAYS else ""
    return Check("geo data", "warn" if hint else "ok", f"of {built}{hint}")


def _database(settings: Settings) -> Check:
    """Whether the server that keeps links and books answers, and takes what is written."""
    from footfall.database import postgres  # noqa: PLC0415 -- nobody else needs its client

    try:
        version = postgres.examine(PostgresSchema(settings.database.get_secret_value(), "footfall_meta"))
    except FootfallError as error:
        return Check("database", "fail", str(error))
    return Check("database", "ok", f"PostgreSQL {version}")


def _log(settings: Settings) -> Check:
    """Whether the server that keeps the log answers, and how much of it is not stored yet."""

    async def backlog() -> int:
        log = await open_log(settings, shard="none")
        try:
            return (await log.backlog(WORKER)).records
        finally:
            await log.close()

    try:
        waiting = asyncio.run(backlog())
    except FootfallError as error:
        return Check("log", "fail", f"{settings.log}: {error}")
    return Check("log", "ok", f"{settings.log} answers; {waiting} records are not stored yet")


def _clock(data: Path) -> Check:
    now = time.time()
    shown = datetime.now(UTC).isoformat(timespec="seconds")
    built = _built()
    if built and datetime.now(UTC).date() < built:
        return Check("clock", "fail", f"{shown} lies before this version was built ({built})")
    newest = max((entry.stat().st_mtime for entry in data.iterdir()), default=0.0) if data.is_dir() else 0.0
    if newest > now + _CLOCK_SLACK:
        return Check(
            "clock", "warn", f"{shown}; files in the data directory are newer: was the clock set back?"
        )
    return Check("clock", "ok", shown)


def _built() -> date | None:
    """When the data of this package was fetched, which a right clock is past."""
    try:
        sources = json.loads((Path(__file__).parents[1] / "_data" / "SOURCES.json").read_text())
        return date.fromisoformat(sources["built"])
    except (OSError, ValueError, KeyError):
        return None


def _clicks_topic(settings: Settings) -> Check:
    """Whether the topic of other services' clicks is there."""
    from footfall.topics.inbox import Inbox  # noqa: PLC0415 -- the library of Kafka, which few need

    async def find() -> None:
        inbox = Inbox(settings)
        try:
            await inbox.find()
        finally:
            await inbox.close()

    try:
        asyncio.run(find())
    except (Misconfigured, Retryable) as error:
        return Check("clicks", "fail", str(error))
    return Check("clicks", "ok", f"the topic {settings.clicks_topic} is there")
