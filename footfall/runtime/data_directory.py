"""Who uses a data directory: its lock, and `run.json`, through which the CLI finds the running server.

The lock (`DATA/lock`, flock) is held by whoever owns the embedded store: `footfall serve`
with its children, `footfall worker`, or a command that does its work itself. It ends with the
last process that holds it, however that one dies. `run.json` says how to reach the console,
with a token that is worth an admin key of the default workspace, on this machine only.
"""

import fcntl
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from footfall.errors import Conflict, Misconfigured
from footfall.runtime.private import make_private

TOKEN_PREFIX = "fflocal_"  # noqa: S105 - what every local token starts with, no secret

# The children of a killed supervisor may take this long to stop, in seconds.
_LAST_CHILDREN = 12.0


class RunFile(Struct, frozen=True):
    """What `run.json` says. `identity` tells the process apart from a later one of the same pid."""

    pid: int
    identity: str
    host: str
    port: int
    console_port: int
    door_url: str
    console_url: str
    token: str
    console_host: str = ""  # where it is not `host`

    @property
    def console(self) -> str:
        """The console's base URL as reached from this machine."""
        return base_url(self.console_host or self.host, self.console_port)

    @property
    def door(self) -> str:
        """The door's base URL as reached from this machine."""
        return base_url(self.host, self.port)


def base_url(host: str, port: int) -> str:
    """How this machine itself reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def identity(pid: int) -> str:
    """A name for the process `pid` that no later process gets; "" when there is none.

    On Linux the boot and the process's start time in clock ticks (proc(5), field 22 of
    `stat`). Elsewhere only "alive": there the lock alone decides.
    """
    proc = Path("/proc")
    if not (proc / "self" / "stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "alive"
    try:
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else f"{boot}:{fields[19]}"


def new_token() -> str:
    """A local token: 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def is_token(data: Path, secret: str, token: str = "") -> bool:
    """Whether `secret` is the local token: `token`, or without that the one of the running server."""
    if not secret.startswith(TOKEN_PREFIX):
        return False
    if not token:
        run = running(data)
        token = run.token if run else ""
    return token != "" and secrets.compare_digest(secret.encode(), token.encode())


def write(data: Path, run: RunFile) -> None:
    """Put `run.json` in place at once, readable by its owner only (mkstemp makes mode 0600)."""
    handle, name = tempfile.mkstemp(prefix=".run-", dir=data)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(data / "run.json")
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove(data: Path) -> None:
    """Take `run.json` away at the end."""
    (data / "run.json").unlink(missing_ok=True)


def running(data: Path) -> RunFile | None:
    """The server that runs on this data directory, or None; what a killed one left counts for nothing."""
    try:
        run = msgspec.json.decode((data / "run.json").read_bytes(), type=RunFile)
    except (OSError, msgspec.DecodeError):
        return None
    same_process = run.identity != "" and identity(run.pid) == run.identity
    return run if same_process and _is_locked(data) else None


def _is_locked(data: Path) -> bool:
    try:
        descriptor = os.open(data / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


class LockHolder(Struct, frozen=True):
    """Who holds the lock, as written into it."""

    pid: int
    identity: str
    command: str
    since: float

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"`{self.command}` (process {self.pid}, since {since})"


def holder(data: Path) -> LockHolder | None:
    """Who holds the data directory now, or None when it is free or nobody can tell."""
    return _read_holder(data) if _is_locked(data) else None


def _read_holder(data: Path) -> LockHolder | None:
    try:
        return msgspec.json.decode((data / "lock").read_bytes(), type=LockHolder)
    except (OSError, msgspec.DecodeError):
        return None


class DataLock:
    """The data directory is ours until `release`, or until the last process with `fd` has ended."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def acquire(cls, data: Path, command: str) -> Self:
        """Take the lock, making the directory if need be; blocks while a killed server's children end.

        Raises Conflict naming the holder, Misconfigured when the directory cannot be used.
        """
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(data)
            descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(f"the data directory {data} cannot be used: {error.strerror}") from None
        try:
            _wait_for(descriptor, data)
        except BaseException:
            os.close(descriptor)
            raise
        content = LockHolder(os.getpid(), identity(os.getpid()), command, time.time())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(content), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let the directory go, as far as this process is concerned."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _wait_for(descriptor: int, data: Path) -> None:
    """Take the flock; who lives keeps it, of who was killed the children get time to end."""
    deadline = time.monotonic() + _LAST_CHILDREN
    patience = time.monotonic() + 0.5  # a glance at the lock (`running`) holds it for a moment
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            by = _read_holder(data)
            alive = by is None or identity(by.pid) == by.identity
            if time.monotonic() > (patience if alive else deadline):
                who = str(by) if by else "another process"
                raise Conflict(f"the data directory {data} is in use by {who}", field="data") from None
            time.sleep(0.05)
        else:
            return
