"""A real PostgreSQL server of the tests' own, of the package that the system has."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from footfall.runtime.tcp_ports import free_port
from tests.servers import needs

USER = "postgres"  # the server refuses to run as root
_NAMES = count()


def programs():
    """Where the newest of its versions is installed, or None."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((path.parent for path in versions), key=lambda path: int(path.parent.name), default=None)


class Postgres:
    """Started by `start`; `end` may be a kill."""

    def __init__(self, root):
        self.root = root
        self.data = root / "data"
        self.port = free_port("127.0.0.1")
        self._process = None

    def create(self):
        """Make the cluster."""
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "-D", self.data)

    def follow(self, primary):
        """Make a streaming replica of another one."""
        self._run("pg_basebackup", "-d", primary.url("postgres"), "-D", self.data, "-R", "-c", "fast")

    def start(self, *options):
        """Returns when it answers."""
        command = ["postgres", "-D", self.data, "-p", self.port, "-h", "127.0.0.1", "-k", self.root]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._as_user(*command, *options), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.root / "log").read_text()
                assert time.monotonic() < deadline, (self.root / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def end(self, how=signal.SIGINT):
        """SIGINT ends it as `pg_ctl stop -m fast` does, SIGQUIT leaves it to recover."""
        if self._process is not None:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, how)
            self._process.wait()
            self._process = None

    def url(self, database):
        """Of a database of it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def database(self):
        """The URL of a new, empty database."""
        name = f"tests_{next(_NAMES)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def _run(self, *command):
        subprocess.run(self._as_user(*command), check=True, capture_output=True, timeout=120)

    def _as_user(self, program, *arguments):
        command = [str(programs() / program), *map(str, arguments)]
        return ["runuser", "-u", USER, "--", *command] if os.geteuid() == 0 else command


@contextmanager
def postgres(primary=None):
    """A server that runs, as a replica of `primary` if there is one; it is gone afterwards."""
    needs(programs(), "PostgreSQL is not installed: apt-get install postgresql")
    root = Path(tempfile.mkdtemp(prefix="footfall-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(root, USER, USER)
    server = Postgres(root)
    try:
        server.follow(primary) if primary else server.create()
        server.start()
        yield server
    finally:
        server.end(signal.SIGQUIT)
        shutil.rmtree(root)
