"""Every route of the console that needs a key waits for the key's turn."""

from contextlib import asynccontextmanager

import pytest

from footfall.api import app
from footfall.api.concurrency import Limiter
from footfall.errors import TooMany
from tests.contract.access_log import console

pytestmark = pytest.mark.anyio

OPEN = {"/", "/health/live", "/health/ready", "/openapi.json", "/v1/events"}


@asynccontextmanager
async def _never(_limiter, _key_id):
    raise TooMany("it is not your turn", retry_after=7)
    yield


async def test_no_key_may_ask_any_route_as_much_as_it_likes(tmp_path, monkeypatch):
    made, real = [], app.create_app
    monkeypatch.setattr(app, "create_app", lambda **parts: made.append(real(**parts)) or made[-1])
    async with console(tmp_path / "data") as http:
        monkeypatch.setattr(Limiter, "turn", _never)
        asked = {
            (method, route.path): await http.request(method, route.path.replace("{", "").replace(":str}", ""))
            for route in made[0].routes
            for method in sorted(route.methods - {"HEAD", "OPTIONS"})
            if route.path not in OPEN and not route.path.startswith("/docs")
        }
        assert len(asked) > 60
        assert {name for name, answer in asked.items() if answer.status_code != 429} == set()
        assert {answer.headers["Retry-After"] for answer in asked.values()} == {"7"}
        http.headers.pop("Authorization")
        answers = [(await http.get(path)).status_code for method, path in asked if method == "GET"]
        assert set(answers) == {401}
