"""How a command reaches the console: by URL and key, the server that runs here, or one of its own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from footfall import installation, main
from footfall.cli.terminal import warn
from footfall.client.answers import error_of
from footfall.errors import Invalid, Misconfigured, NotFound, Retryable
from footfall.runtime import data_directory
from footfall.settings import Settings, load

T = TypeVar("T")

_JSON = {"Content-Type": "application/json"}
_PAGE = 1000  # rows of a list that are asked for at once
_TIMEOUT = httpx.Timeout(60, connect=5)


class Console:
    """The console's API, with its refusals as Footfall's errors.

    `own` is true when this process runs the console itself.
    """

    def __init__(self, http: httpx.AsyncClient, *, own: bool = False) -> None:
        self._http = http
        self.own = own

    async def get(self, path: str, **parameters: Any) -> Any:
        """The answer of a GET. Raises Invalid, Denied, NotFound, Retryable or FootfallError."""
        return await self._ask("GET", path, params={k: v for k, v in parameters.items() if v is not None})

    async def every(self, path: str) -> list[dict[str, Any]]:
        """All rows of a list that comes in pages; raises as `get`."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self.get(path, limit=_PAGE, offset=len(found))
            found += page["data"]
            if not page["data"] or len(found) >= page["meta"]["total"]:
                return found

    async def post(self, path: str, body: object, *, patient: bool = False) -> Any:
        """The answer of a POST, however long it takes if `patient`; raises as `get`."""
        timeout = {"timeout": None} if patient else {}
        return await self._ask("POST", path, content=msgspec.json.encode(body), headers=_JSON, **timeout)

    async def patch(self, path: str, body: object) -> Any:
        """The answer of a PATCH; raises as `get`."""
        return await self._ask("PATCH", path, content=msgspec.json.encode(body), headers=_JSON)

    async def put(self, path: str, body: object) -> Any:
        """The answer of a PUT; raises as `get`."""
        return await self._ask("PUT", path, content=msgspec.json.encode(body), headers=_JSON)

    async def delete(self, path: str) -> None:
        """DELETE; raises as `get`."""
        await self._ask("DELETE", path)

    async def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = await self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise Retryable(
                f"no answer from {self._http.base_url}: {error or type(error).__name__}"
            ) from None
        if answer.is_success:
            return msgspec.json.decode(answer.content) if answer.content else None
        raise error_of(answer.status_code, answer.headers, answer.content)


@asynccontextmanager
async def console(
    settings: Settings, url: str | None, key: str | None, *, create: bool = False
) -> AsyncGenerator[Console]:
    """The console to ask: the one at `url`, else of `settings.data`; runs one where none runs.

    A data directory that is not there is made only with `create`. Raises NotFound, Misconfigured,
    and Conflict when another command has the directory.
    """
    async with AsyncExitStack() as stack:
        run = data_directory.running(settings.data) if url is None else None
        if url is not None:
            http = _client(url, _checked_key(key))
        elif run is not None:
            http = _client(run.console, run.token)
        else:
            if not create and not installation.exists(settings):
                raise NotFound(f"nothing was recorded in {settings.data} yet; is --data right?")
            stack.enter_context(data_directory.DataLock.acquire(settings.data, "a footfall command"))
            await _first_start(settings)
            token = data_directory.new_token()
            app = await stack.enter_async_context(main.own_console(settings, token))
            transport = httpx.ASGITransport(app)
            http = httpx.AsyncClient(
                transport=transport, base_url="http://localhost", headers=_headers(token), timeout=_TIMEOUT
            )
        await stack.enter_async_context(http)
        yield Console(http, own=url is None and run is None)


def ask(data: Path | None, url: str | None, key: str | None, work: Callable[[Console], Awaitable[T]]) -> T:
    """What a command does that asks the console. Raises as `console`, and as `work` does."""

    async def answer() -> T:
        async with console(load(data=data), url, key) as server:
            return await work(server)

    return asyncio.run(answer())


async def _first_start(settings: Settings) -> None:
    key = await main.prepare(settings)
    if key and not settings.admin_key.get_secret_value():
        warn(f"Admin key (shown only now, keep it): {key}")


def _client(url: str, key: str) -> httpx.AsyncClient:
    # trust_env off: a proxy of the environment is no way to a server on this machine.
    return httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=_TIMEOUT, trust_env=False)


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _checked_key(key: str | None) -> str:
    if not key:
        raise Misconfigured("--url needs a key too: --key, or better the variable FOOTFALL_KEY")
    if not key.isascii() or not key.isprintable():
        raise Invalid("is not a key", field="--key")
    return key
