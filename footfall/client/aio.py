"""The client for asyncio: `track` queues, a task sends."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from footfall.client.answers import Again, Outcome, error_of
from footfall.client.base import Base, ids, log, no_answer, transport_failed
from footfall.client.core import Batch, Flush
from footfall.client.event import Envelope, Made, made, made_from
from footfall.client.question import (
    Ask,
    Question,
    ask_export,
    ask_links,
    ask_new_link,
    ask_query,
    ask_report,
    ask_save,
    ask_saved,
)
from footfall.client.result import Result


class AsyncClient(Base[httpx.AsyncBaseTransport]):
    """Tracks events and asks questions, in one running event loop.

    Leave its `async with` block, or await `close`, before the loop ends. Options: see `Base`.
    """

    def _prepare(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._look = asyncio.Event()  # for the task: the core has something new
        self._settled = asyncio.Event()  # for those who flush
        self._console: httpx.AsyncClient | None = None

    def track(
        self,
        event_type: str,
        properties: Mapping[str, Any] | None = None,
        **envelope: Unpack[Envelope],
    ) -> str:
        """Queue one event, and return its id. Never waits for the network, nor fails for it.

        Raises TypeError and ValueError for arguments of the wrong type, RuntimeError after `close`
        and outside of a running loop.
        """
        event = made(event_type, properties, envelope)
        self._queue([event])
        return event.id

    def track_many(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Queue events, each a mapping of the arguments of `track`. One that is wrong costs no other."""
        each = [made_from(event) for event in events]
        self._queue(each)
        return ids(each)

    async def flush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 -- part of the answer, not an error
        """Send what was tracked so far now, and wait for the answers.

        True when all of it was acknowledged; False when `timeout` seconds passed, or some was
        refused or dropped since the last flush (see `stats`).
        """
        flush = self._core.flush()
        if not self._core.flushed(flush):
            self._wake()
        try:
            async with asyncio.timeout(timeout):
                await self._until(flush)
            return flush.ok and self._core.flushed(flush)
        except TimeoutError:
            return False
        finally:
            self._core.give_up(flush)

    async def close(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 -- as above
        """Take no more events, send the rest for at most `timeout` seconds, by default `exit_timeout`.

        Returns what `flush` would. What is not acknowledged by then is counted as dropped.
        """
        if self._closed:
            return True
        self._closed = True
        try:
            return await self.flush(self._exit_timeout if timeout is None else timeout)
        finally:
            self._tell_abandoned(self._core.abandon())
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            if self._console is not None:
                await self._console.aclose()

    async def query(
        self, metrics: Sequence[str], *, query_timeout: float | None = None, **question: Unpack[Question]
    ) -> Result:
        """Metrics by dimensions: `POST /v1/query`.

        Raises Invalid (its `field` is what is wrong), Denied, Retryable or FootfallError.
        """
        return await self._ask(ask_query(metrics, question), query_timeout)

    async def report(self, name: str, /, *, query_timeout: float | None = None, **params: Any) -> Result:
        """A report by its path, for example `report("analytics/countries", limit=10)`; raises as `query`."""
        return await self._ask(ask_report(name, params), query_timeout)

    async def links(self, *, query_timeout: float | None = None, **params: Any) -> Result:
        """The workspace's links, newest first: `search`, `domain`, `limit`, `offset`. Raises as `query`."""
        return await self._ask(ask_links(params), query_timeout)

    async def make_link(
        self, url: str, *, query_timeout: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Make a link to `url`, with `code`, `domain`, `title`, `tags`, `expires_at`, `pass_query` if wanted.

        Returns it: `id`, `short_url` and so on. The key needs the scope `links`. Raises as `query`, and
        Conflict when the code is taken.
        """
        return (await self._ask(ask_new_link(url, fields), query_timeout)).rows[0]

    async def goals(self, *, query_timeout: float | None = None, **params: Any) -> Result:
        """The workspace's goals, newest first: `limit`, `offset`. Raises as `query`."""
        return await self._ask(ask_saved("goals", params), query_timeout)

    async def save_goal(self, *, query_timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """Save a goal of an `event_type`, `page` or `scroll_depth`; with `name`, `properties`, `site_id`.

        Returns it. The key needs the scope `admin`. Raises as `query`, and Conflict when the name is taken.
        """
        return (await self._ask(ask_save("goals", fields), query_timeout)).rows[0]

    async def segments(self, *, query_timeout: float | None = None, **params: Any) -> Result:
        """The workspace's segments, newest first: `limit`, `offset`. Raises as `query`."""
        return await self._ask(ask_saved("segments", params), query_timeout)

    async def save_segment(
        self, name: str, filters: Sequence[Any], *, query_timeout: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Save filters under a name, of one site if `site_id` says so. Returns it; raises as `save_goal`."""
        body = {"name": name, "filters": list(filters), **fields}
        return (await self._ask(ask_save("segments", body), query_timeout)).rows[0]

    async def export(self, file: str | Path, *, query_timeout: float | None = None, **params: Any) -> int:
        """Write the events of a range to `file` (.csv, .ndjson, .parquet); returns how many rows it has.

        `params` are those of the export: `start_date`, `end_date`, filters, `for`. The file is in its place
        once it is whole; what breaks off raises Retryable and leaves none. Raises as `query`.
        """
        path = Path(file)
        request = self._console_request(ask_export(path, params), query_timeout)
        self._check_open(tracking=False)
        part = path.with_name(f"{path.name}.part")
        try:
            async with httpx.AsyncClient(transport=self._transport) as http, http.stream(**request) as answer:
                if not answer.is_success:
                    raise error_of(answer.status_code, answer.headers, await answer.aread())
                with part.open("wb") as out:
                    async for data in answer.aiter_bytes():
                        out.write(data)
            part.replace(path)
            return int(answer.headers.get("footfall-rows", 0))
        except httpx.HTTPError as error:
            raise no_answer(self._console_url, error) from error
        finally:
            part.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _queue(self, made: Sequence[Made]) -> None:
        self._check_open()
        loop = asyncio.get_running_loop()
        look, rejections = self._core.add(made, loop.time())
        if look or self._task is None or self._task.done():
            self._wake()
        self._tell_rejections(rejections)

    def _wake(self) -> None:
        """Let the task look at the core again; start it if need be: asyncio.run ends it with its loop."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            self._look, self._settled = asyncio.Event(), asyncio.Event()
            self._task = loop.create_task(self._run(), name="footfall-client")
            self._task.add_done_callback(lambda _, settled=self._settled: settled.set())
        self._look.set()

    async def _until(self, flush: Flush) -> None:
        while not self._core.flushed(flush) and self._task is not None and not self._task.done():
            self._settled.clear()
            await self._settled.wait()

    async def _run(self) -> None:
        async with httpx.AsyncClient(transport=self._transport, timeout=self._timeout) as door:
            while True:
                batch = await self._next()
                outcome: Outcome = Again("cancelled")
                try:
                    outcome = await self._send(door, batch)
                finally:
                    rejections = self._core.settle(batch, outcome, asyncio.get_running_loop().time())
                self._tell(outcome, rejections)
                self._settled.set()

    async def _next(self) -> Batch:
        while not isinstance(step := self._core.next(asyncio.get_running_loop().time()), Batch):
            self._look.clear()
            try:
                async with asyncio.timeout(step):
                    await self._look.wait()
            except TimeoutError:
                continue
        return step

    async def _send(self, door: httpx.AsyncClient, batch: Batch) -> Outcome:
        try:
            return self._door_outcome(await door.post(**self._door_request(batch)), batch)
        except httpx.HTTPError as error:
            return transport_failed(error)
        except Exception as error:  # noqa: BLE001 -- the task must outlive whatever it meets
            log.exception("sending events failed")
            return transport_failed(error)

    async def _ask(self, ask: Ask, timeout: float | None) -> Result:  # noqa: ASYNC109 -- of one attempt, by httpx
        request = self._console_request(ask, timeout)
        self._check_open(tracking=False)
        if self._console is None:
            self._console = httpx.AsyncClient(transport=self._transport)
        attempt = 0
        while True:
            try:
                answer = await self._console.request(**request)
            except httpx.HTTPError as error:
                raise no_answer(self._console_url, error) from error
            result = self._console_answer(ask, answer, attempt)
            if isinstance(result, Result):
                return result
            await asyncio.sleep(result)
            attempt += 1
