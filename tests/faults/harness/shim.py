"""Arms the LD_PRELOAD shim: the n-th call on a path is killed or fails, fsyncs are slow, the clock is off.

strace can inject faults too, and works here, but counts calls for each thread apart; the engine
writes with many threads, so "the n-th call of an insert" needs a counter they share.
"""

import mmap
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")

# struct control of shim.c
LAYOUT = struct.Struct("=10q256s512s")
_ARMED, _ACTION, _SEEN, _FIRED, _FSYNC, _CLOCK, _MIRROR, _KINDS, _LASTING, _WRITE = range(0, 80, 8)
_PATH, _HIT = 80, 336

KILL, TORN, EIO, ENOSPC = 1, 2, 3, 4
# Kinds of calls that can be hit: writes; fsyncs and whatever else changes something; reads.
WRITES, CHANGES, READS = 1, 3, 4
NAMES = {KILL: "kill -9", TORN: "kill -9 half-way", EIO: "EIO", ENOSPC: "ENOSPC"}


def build(directory: Path) -> Path:
    """Compile the shim. Raises RuntimeError naming what is missing."""
    if not sys.platform.startswith("linux"):
        raise RuntimeError("faults at system calls are injected with LD_PRELOAD, which needs Linux")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError(
            "faults at system calls need a C compiler: install the Debian packages gcc and libc6-dev"
        )
    library = directory / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the shim does not compile (Debian packages gcc, libc6-dev):\n{done.stderr}")
    return library


class Shim:
    """The faults of the processes that are started with `environment`."""

    def __init__(self, library: Path, control: Path, root: Path | None = None) -> None:
        """`control` is the file to steer by. `root` is a directory of which a mirror can be kept."""
        control.write_bytes(bytes(LAYOUT.size))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), LAYOUT.size)
        self.environment = {"LD_PRELOAD": str(library), "FAULT_CONTROL": str(control)}
        self.root = root
        self.mirror = control.with_suffix(".mirror")
        if root:
            self.environment |= {"FAULT_ROOT": str(root), "FAULT_MIRROR": str(self.mirror)}

    def watch(self, path: str, kinds: int = CHANGES) -> None:
        """Calls of these kinds count when their path contains `path`."""
        self._set(_KINDS, kinds)
        self._map[_PATH : _PATH + 256] = os.fsencode(path).ljust(256, b"\0")

    def arm(self, number: int, action: int, *, lasting: bool = False) -> None:
        """The call number `number` from now on (1 = the next) is hit; `lasting`: so are all behind it."""
        self._set(_LASTING, 0)
        self._set(_FIRED, 0)
        self._set(_ACTION, action)
        self._set(_LASTING, int(lasting))
        self._set(_ARMED, number)

    def disarm(self) -> None:
        """No call is hit any more."""
        self._set(_LASTING, 0)
        self._set(_ARMED, 0)

    @property
    def fired(self) -> bool:
        """Whether the armed call came and was hit."""
        return self._get(_FIRED) > 0

    @property
    def hit(self) -> str:
        """The call that was hit last, and its path."""
        return self._map[_HIT : _HIT + 512].split(b"\0")[0].decode(errors="replace")

    @property
    def seen(self) -> int:
        """Calls that counted, up to now."""
        return self._get(_SEEN)

    def slow_fsync(self, seconds: float) -> None:
        """Every fsync of a watched path takes this much longer."""
        self._set(_FSYNC, int(seconds * 1e6))

    def slow_writes(self, seconds: float) -> None:
        """Every write to a watched path takes this much longer."""
        self._set(_WRITE, int(seconds * 1e6))

    def shift_clock(self, seconds: float) -> None:
        """The wall clock differs by this much from the truth."""
        self._set(_CLOCK, int(seconds * 1e9))

    def keep_mirror(self) -> None:
        """From now on the mirror has of each file of the root what was fsynced, and no more.

        Nothing may write to the root while this runs.
        """
        assert self.root
        shutil.copytree(self.root, self.mirror, symlinks=True)
        self._set(_MIRROR, 1)

    def cut_power(self) -> None:
        """The root becomes what its mirror is; all processes have been killed."""
        assert self.root
        self._set(_MIRROR, 0)
        for draft in self.mirror.glob(".draft-*"):
            draft.unlink()
        shutil.rmtree(self.root)
        self.mirror.rename(self.root)

    def _get(self, at: int) -> int:
        return struct.unpack_from("=q", self._map, at)[0]

    def _set(self, at: int, value: int) -> None:
        struct.pack_into("=q", self._map, at, value)
