"""Threads for what the worker computes: nobody who asks something of this process holds one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The worker prepares one batch while it decodes the next, and may save the ids beside it.
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="footfall-worker")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `asyncio.to_thread`, in a thread of the worker's."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, lambda: function(*args, **kwargs))


async def end_of(task: asyncio.Task[None] | None) -> None:
    """Wait for the task, if there is one. Raises what ended it."""
    if task:
        await task
