"""The server of the demo: `footfall serve` as a child, which ends with the demo."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from footfall.cli.terminal import say
from footfall.errors import FootfallError
from footfall.runtime.data_directory import base_url
from footfall.runtime.supervisor import GRACE
from footfall.runtime.tcp_ports import answers, free_port, is_free
from footfall.settings import load

_START = 60.0  # seconds


class Server(NamedTuple):
    """Where the running server is, and its admin key."""

    door: str
    console: str
    key: str


@asynccontextmanager
async def serving(data: Path) -> AsyncGenerator[Server]:
    """Start a server on `data`, on the usual ports or free ones, and stop it at the end."""
    settings = load(data=data)
    host = settings.host
    console_host = settings.console_address
    port, console_port = _choose(host, settings.port), _choose(console_host, settings.console_port)
    key = f"demo_{secrets.token_urlsafe(24)}"
    server = Server(base_url(host, port), base_url(console_host, console_port), key)
    output = data / "serve.log"
    lifeline, writing_end = os.pipe()
    try:
        with output.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "footfall", "serve", "--data", str(data), "--host", host),
                *("--port", str(port), "--console-port", str(console_port), "--lifeline", str(lifeline)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"FOOTFALL_ADMIN_KEY": server.key},
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        try:
            await _ready(process, server, output)
            yield server
        finally:
            await _stop(process)
    finally:
        os.close(lifeline)
        os.close(writing_end)


def _choose(host: str, port: int) -> int:
    if is_free(host, port):
        return port
    other = free_port(host)
    say(f"Port {port} is in use; the demo takes {other} instead.")
    return other


async def _ready(process: asyncio.subprocess.Process, server: Server, output: Path) -> None:
    """Returns when both parts answer."""
    deadline = asyncio.get_running_loop().time() + _START
    for url in (server.door, server.console):
        while not await asyncio.to_thread(answers, f"{url}/health/ready"):
            if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                raise FootfallError(f"the server did not start:\n{_tail(output)}")
            await asyncio.sleep(0.1)


def _tail(output: Path) -> str:
    return "\n".join(output.read_text(errors="replace").splitlines()[-15:])


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE + 5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
