"""Work beside the work: something every so often, and roles that end together."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any

import structlog

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def every(seconds: float, work: Callable[[], Awaitable[None]]) -> Generator[None]:
    """Do `work` every `seconds`, the first time after that long. A failure is logged and tried again."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception as error:  # noqa: BLE001 -- housekeeping: the next time may go well
                log.warning("background.failed", work=getattr(work, "__qualname__", ""), error=str(error))

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()


async def first_to_end(roles: Sequence[Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Run all; when one ends, however it does, stop the others. Raises what ended the first."""
    tasks = [asyncio.create_task(role) for role in roles]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()
