"""What both facades are: the options, the requests, and what is said about their answers."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from footfall.client.answers import Again, Outcome, error_of, read_door, retry_after
from footfall.client.core import Batch, Core, Limits, Rejection, Stats
from footfall.client.event import Made
from footfall.client.question import Ask
from footfall.client.queue_id import checked, new_queue_id, persistent_queue_id
from footfall.client.result import Result
from footfall.errors import Misconfigured, Retryable

T = TypeVar("T")

OnError = Callable[[Rejection], None]

log = logging.getLogger("footfall.client")

_URL = re.compile(r"https?://[^/?#]+[^?#]*")


class Base(Generic[T]):
    """The options of both clients.

    - `url`: the door, for tracking. `console_url`: the console, for questions.
    - `key`: a secret key with the scope `ingest`, `read` or both. `read_key`: another for questions.
    - `site_id`: the site of all events that name none; its public id is enough to track without a key.
    - `queue_id`, or `queue_file` where it is kept: the routing key of this sender; by default a new one.
    - `limits`: of the queue. `timeout`, `query_timeout`: seconds for one request of either kind.
      `exit_timeout`: seconds for what is left when the client closes.
    - `query_retries`: how often a question is asked again after 503.
    - `on_error`: called with every `Rejection`, mostly in the thread or task that sends.
    - `transport`: of httpx, for tests.

    Raises Misconfigured.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str = "",
        site_id: str = "",
        console_url: str | None = None,
        read_key: str = "",
        queue_id: str | None = None,
        queue_file: str | Path | None = None,
        limits: Limits | None = None,
        timeout: float = 10.0,
        exit_timeout: float = 5.0,
        query_timeout: float = 60.0,
        query_retries: int = 2,
        on_error: OnError | None = None,
        transport: T | None = None,
    ) -> None:
        if url is None and console_url is None:
            raise Misconfigured("url (the door, to track) or console_url (to ask) must be given")
        if url is not None and not (key or site_id):
            raise Misconfigured("to track takes a key, or the public id of a site as site_id")
        self._url = None if url is None else _checked_url(url, "url")
        self._console_url = None if console_url is None else _checked_url(console_url, "console_url")
        self._key = _headers(key)
        self._read_key = _headers(read_key or key)
        self._site_id = site_id
        if queue_id is None:
            queue_id = persistent_queue_id(Path(queue_file)) if queue_file else new_queue_id()
        self.queue_id = checked(queue_id, "queue_id")
        self._limits = limits or Limits()
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, 5.0))
        self._exit_timeout = exit_timeout
        self._query_timeout = httpx.Timeout(query_timeout, connect=min(query_timeout, 5.0))
        self._query_retries = query_retries
        self._on_error = on_error
        self._transport = transport
        self._core = self._new_core()
        self._closed = False
        self._in_trouble = False
        self._drops_told = 0
        self._prepare()

    def stats(self) -> Stats:
        """What became of the events so far."""
        return self._core.stats

    def _prepare(self) -> None:
        """What else the facade needs."""

    def _new_core(self) -> Core:
        return Core(self._limits, queue_id=self.queue_id, site_id=self._site_id)

    def _check_open(self, *, tracking: bool = True) -> None:
        if tracking and self._url is None:
            raise Misconfigured("this client was made without the url of the door, so it cannot track")
        if self._closed:
            raise RuntimeError("the client is closed")

    def _door_request(self, batch: Batch) -> dict[str, Any]:
        return {
            "url": f"{self._url}/v1/events",
            "content": batch.body,
            "headers": {"Content-Type": "application/json", **self._key},
        }

    @staticmethod
    def _door_outcome(answer: httpx.Response, batch: Batch) -> Outcome:
        return read_door(answer.status_code, answer.headers, answer.content, len(batch.items))

    def _console_request(self, ask: Ask, timeout: float | None) -> dict[str, Any]:
        if self._console_url is None:
            raise Misconfigured("this client was made without console_url, so it cannot ask")
        body = {"Content-Type": "application/json"} if ask.body is not None else {}
        return {
            "method": ask.method,
            "url": self._console_url + ask.path,
            "params": ask.params or None,
            "content": ask.body,
            "headers": {**body, **self._read_key},
            "timeout": self._query_timeout if timeout is None else timeout,
        }

    def _console_answer(self, ask: Ask, answer: httpx.Response, attempt: int) -> Result | float:
        """The result, or how long to wait before the next attempt. Raises FootfallError."""
        if answer.is_success:
            return ask.read(answer.content)
        if answer.status_code == 503 and attempt < self._query_retries:
            return retry_after(answer.headers) or 1.0
        raise error_of(answer.status_code, answer.headers, answer.content)

    def _tell(self, outcome: Outcome, rejections: Sequence[Rejection]) -> None:
        """Log what an attempt led to: an outage once, a refusal always."""
        if isinstance(outcome, Again):
            if not self._in_trouble:
                log.warning(
                    "%s does not take events (%s); they are kept and sent again", self._url, outcome.why
                )
            self._in_trouble = True
        elif self._in_trouble:
            self._in_trouble = False
            log.info("%s answers again", self._url)
        dropped = self.stats().dropped
        if dropped > self._drops_told:
            log.warning("the queue was full: %d events dropped so far, the oldest first", dropped)
            self._drops_told = dropped
        self._tell_rejections(rejections)

    def _tell_rejections(self, rejections: Sequence[Rejection]) -> None:
        for rejection in rejections:
            log.warning(
                "%d events refused: %s: %s", len(rejection.events), rejection.reason, rejection.message
            )
            if self._on_error is not None:
                try:
                    self._on_error(rejection)
                except Exception:
                    log.exception("on_error failed")

    def _tell_abandoned(self, count: int) -> None:
        if count:
            log.warning("closed: %d events were not acknowledged in time and are dropped", count)


def ids(made: Sequence[Made]) -> list[str]:
    """The ids under which events were queued."""
    return [each.id for each in made]


def transport_failed(error: Exception) -> Again:
    """What no answer means; whether the door has the events is not known, hence the same ids."""
    return Again(f"{type(error).__name__}: {error}".removesuffix(": "))


def no_answer(url: str | None, error: Exception) -> Retryable:
    """The error of a question that nobody answered."""
    return Retryable(f"no answer from {url}: {error or type(error).__name__}")


def _checked_url(url: str, name: str) -> str:
    if not _URL.fullmatch(url):
        raise Misconfigured(f"{name} must be like https://stats.example.com, without query")
    return url.rstrip("/")


def _headers(key: str) -> Mapping[str, str]:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise Misconfigured("key: that is not a key")
    agent = {"User-Agent": "footfall-python"}
    return agent | {"Authorization": f"Bearer {key}"} if key else agent
