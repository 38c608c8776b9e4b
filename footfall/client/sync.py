"""The client for programs with threads: `track` queues, a background thread sends."""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from footfall.client.answers import Outcome, error_of
from footfall.client.base import Base, ids, log, no_answer, transport_failed
from footfall.client.core import Batch, Flush, Stats
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


class Client(Base[httpx.BaseTransport]):
    """Tracks events and asks questions. May be used from any thread, and after a fork.

    One client serves a whole program. Leaving its `with` block, or the end of the program, sends
    what is left, for at most `exit_timeout` seconds. A forked child starts with an empty queue:
    what waited is the parent's to send. Options: see `Base`.
    """

    def _prepare(self) -> None:
        self._changed = threading.Condition()  # guards the core; told when something was settled
        self._thread: threading.Thread | None = None
        self._telling = False  # on_error hears of an answer: a flush waits for that too
        self._door: httpx.Client | None = None  # of the thread
        self._console: httpx.Client | None = None
        _open.add(self)

    def track(
        self,
        event_type: str,
        properties: Mapping[str, Any] | None = None,
        **envelope: Unpack[Envelope],
    ) -> str:
        """Queue one event, and return its id. Never waits for the network, nor fails for it or for the event.

        What is no field of an event is a property. What has a wrong type is `rejected`, logged, and given to
        `on_error`, as what the door refuses. Raises RuntimeError after `close`.
        """
        event = made(event_type, properties, envelope)
        self._queue([event])
        return event.id

    def track_many(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Queue events, each a mapping of the arguments of `track`. One that is wrong costs no other."""
        each = [made_from(event) for event in events]
        self._queue(each)
        return ids(each)

    def flush(self, timeout: float | None = None) -> bool:
        """Send what was tracked so far now, and wait for the answers.

        True when all of it was acknowledged; False when `timeout` seconds passed, or some was
        refused or dropped since the last flush (see `stats`).
        """
        with self._changed:
            flush = self._core.flush()
            return self._wait(flush, timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Take no more events, send the rest for at most `timeout` seconds, by default `exit_timeout`.

        Returns what `flush` would. What is not acknowledged by then is counted as dropped.
        """
        with self._changed:
            if self._closed:
                return True
            self._closed = True
            ok = self._wait(self._core.flush(), self._exit_timeout if timeout is None else timeout)
            left = self._core.abandon()
            thread, console = self._thread, self._console
            self._changed.notify_all()
        _open.discard(self)
        self._tell_abandoned(left)
        if thread is not None and not left and thread is not threading.current_thread():
            thread.join(1)  # it has nothing to wait for
        if console is not None:
            console.close()
        return ok

    def stats(self) -> Stats:
        """What became of the events so far."""
        with self._changed:
            return super().stats()

    def query(
        self, metrics: Sequence[str], *, query_timeout: float | None = None, **question: Unpack[Question]
    ) -> Result:
        """Metrics by dimensions: `POST /v1/query`.

        Raises Invalid (its `field` is what is wrong), Denied, Retryable or FootfallError.
        """
        return self._ask(ask_query(metrics, question), query_timeout)

    def report(self, name: str, /, *, query_timeout: float | None = None, **params: Any) -> Result:
        """A report by its path, for example `report("analytics/countries", limit=10)`; raises as `query`."""
        return self._ask(ask_report(name, params), query_timeout)

    def links(self, *, query_timeout: float | None = None, **params: Any) -> Result:
        """The workspace's links, newest first: `search`, `domain`, `limit`, `offset`. Raises as `query`."""
        return self._ask(ask_links(params), query_timeout)

    def make_link(self, url: str, *, query_timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """Make a link to `url`, with `code`, `domain`, `title`, `tags`, `expires_at`, `pass_query` if wanted.

        Returns it: `id`, `short_url` and so on. The key needs the scope `links`. Raises as `query`, and
        Conflict when the code is taken.
        """
        return (self._ask(ask_new_link(url, fields), query_timeout)).rows[0]

    def goals(self, *, query_timeout: float | None = None, **params: Any) -> Result:
        """The workspace's goals, newest first: `limit`, `offset`. Raises as `query`."""
        return self._ask(ask_saved("goals", params), query_timeout)

    def save_goal(self, *, query_timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """Save a goal of an `event_type`, `page` or `scroll_depth`; with `name`, `properties`, `site_id`.

        Returns it. The key needs the scope `admin`. Raises as `query`, and Conflict when the name is taken.
        """
        return (self._ask(ask_save("goals", fields), query_timeout)).rows[0]

    def segments(self, *, query_timeout: float | None = None, **params: Any) -> Result:
        """The workspace's segments, newest first: `limit`, `offset`. Raises as `query`."""
        return self._ask(ask_saved("segments", params), query_timeout)

    def save_segment(
        self, name: str, filters: Sequence[Any], *, query_timeout: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Save filters under a name, of one site if `site_id` says so. Returns it; raises as `save_goal`."""
        body = {"name": name, "filters": list(filters), **fields}
        return (self._ask(ask_save("segments", body), query_timeout)).rows[0]

    def export(self, file: str | Path, *, query_timeout: float | None = None, **params: Any) -> int:
        """Write the events of a range to `file` (.csv, .ndjson, .parquet); returns how many rows it has.

        `params` are those of the export: `start_date`, `end_date`, filters, `for`. The file is in its place
        once it is whole; what breaks off raises Retryable and leaves none. Raises as `query`.
        """
        path = Path(file)
        request = self._console_request(ask_export(path, params), query_timeout)
        self._check_open(tracking=False)
        part = path.with_name(f"{path.name}.part")
        try:
            with httpx.Client(transport=self._transport) as http, http.stream(**request) as answer:
                if not answer.is_success:
                    raise error_of(answer.status_code, answer.headers, answer.read())
                with part.open("wb") as out:
                    for data in answer.iter_bytes():
                        out.write(data)
            part.replace(path)
            return int(answer.headers.get("footfall-rows", 0))
        except httpx.HTTPError as error:
            raise no_answer(self._console_url, error) from error
        finally:
            part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _queue(self, made: Sequence[Made]) -> None:
        with self._changed:
            self._check_open()
            look, rejections = self._core.add(made, time.monotonic())
            if look:
                self._wake()
        self._tell_rejections(rejections)

    def _wake(self) -> None:
        """Let the thread look at the core again; the lock is held."""
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._run, name="footfall-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter is ending: the next call tries again
                log.exception("no thread to send events with")
                return
            self._thread = thread
            self._telling = False
        self._changed.notify_all()

    def _wait(self, flush: Flush, timeout: float | None) -> bool:
        """Whether the flush came to a good end in time; the lock is held, and released meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._core.flushed(flush):
            self._wake()
        try:
            while not self._core.flushed(flush) or self._telling:
                left = 1.0 if deadline is None else min(deadline - time.monotonic(), 1.0)
                thread = self._thread
                if (
                    left <= 0
                    or thread is None
                    or not thread.is_alive()
                    or thread is threading.current_thread()
                ):
                    return flush.ok and self._core.flushed(flush)
                self._changed.wait(left)
        finally:
            self._core.give_up(flush)
        return flush.ok

    def _run(self) -> None:
        """What the thread does until the client is closed and nothing is left."""
        while (batch := self._next()) is not None:
            outcome = self._send(batch)
            with self._changed:
                rejections = self._core.settle(batch, outcome, time.monotonic())
                self._telling = True
            self._tell(outcome, rejections)
            with self._changed:
                self._telling = False
                self._changed.notify_all()
        if self._door is not None:
            self._door.close()
            self._door = None

    def _next(self) -> Batch | None:
        with self._changed:
            while not isinstance(step := self._core.next(time.monotonic()), Batch):
                if step is None and self._closed:
                    return None
                self._changed.wait(step)
            return step

    def _send(self, batch: Batch) -> Outcome:
        try:
            if self._door is None:  # made here, because reading the certificates takes a while
                self._door = httpx.Client(transport=self._transport, timeout=self._timeout)
            return self._door_outcome(self._door.post(**self._door_request(batch)), batch)
        except httpx.HTTPError as error:
            return transport_failed(error)
        except Exception as error:  # noqa: BLE001 -- the thread must outlive whatever it meets
            log.exception("sending events failed")
            return transport_failed(error)

    def _ask(self, ask: Ask, timeout: float | None) -> Result:
        request = self._console_request(ask, timeout)
        with self._changed:
            self._check_open(tracking=False)
            if self._console is None:
                self._console = httpx.Client(transport=self._transport)
            console = self._console
        attempt = 0
        while True:
            try:
                answer = console.request(**request)
            except httpx.HTTPError as error:
                raise no_answer(self._console_url, error) from error
            result = self._console_answer(ask, answer, attempt)
            if isinstance(result, Result):
                return result
            time.sleep(result)
            attempt += 1

    def _forget(self) -> None:
        """In a forked child: the lock may be held and the thread is gone, and the events are the parent's."""
        self._core = self._new_core()
        self._changed = threading.Condition()
        self._thread = self._door = self._console = None
        self._telling = self._in_trouble = False
        self._drops_told = 0


_open: weakref.WeakSet[Client] = weakref.WeakSet()


def _forget_all() -> None:
    for client in list(_open):
        client._forget()  # noqa: SLF001 -- this module's own class  # pyright: ignore[reportPrivateUsage] -- same


def _close_all() -> None:
    for client in list(_open):
        client.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
