"""Bodies of imports, the longest that the console takes: nobody else waits while one is read."""

import httpx
import pytest

from footfall import main
from footfall.runtime import data_directory
from footfall.settings import load
from tests.security.watching import asked

pytestmark = pytest.mark.anyio

SIZE = 15 << 20
LINES = 20_000
HELD = 0.02  # seconds


def times(part, size=SIZE):
    return b",".join([part] * (size // (len(part) + 1)))


def lists(lines, occurrences=b""):
    return b'"lines": [%b], "occurrences": [%b]}' % (lines, occurrences)


def many(line):
    return lists(b",".join([line] * LINES), b",".join([b"1"] * LINES))


BODIES = {
    "empty lines": (400, lists(times(b'""'))),
    "numbers": (400, lists(b"", times(b"1"))),
    "lists": (400, lists(times(b"[]"))),
    "one line": (413, lists(b'"' + b"x" * SIZE + b'"', b"1")),
    "one line of escapes": (413, lists(b'"' + rb"\n" * (SIZE // 2) + b'"', b"1")),
    "long lines of escapes": (202, many(b'"' + rb"\n" * 350 + b'"')),
    "broken at its end": (400, lists(b",".join([b'"' + b"x" * 700 + b'"'] * LINES))[:-1]),
    "the same field again and again": (413, times(b'"lines": []') + b"}"),
    "spaces": (413, b" " * SIZE + lists(b"")),
}


async def test_no_body_of_an_import_holds_the_loop(tmp_path):
    token = data_directory.new_token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    start = b'{"format": "bitly", '
    wanted = [
        *((status, "/api/v1/imports/clicks", start + body) for status, body in BODIES.values()),
        (202, "/api/v1/imports/access-log", b'{"site_id": "%b", ' + BODIES["long lines of escapes"][1]),
        # Whatever else is asked is short.
        (413, "/api/v1/rollups/rebuild", b" " * (1 << 20)),
        (413, "/api/v1/sql", b" " * (1 << 20)),
        (400, "/api/v1/segments", b'{"name": "x", "filters": [%b]}' % times(b"[]", 200_000)),
    ]
    async with main.own_console(load(data=tmp_path), token) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as http:
            site = (await http.get("/api/v1/sites")).json()["data"][0]["id"].encode()
        requests = [("POST", path, {"content": body.replace(b"%b", site, 1)}) for _, path, body in wanted]
        answers, longest = await asked(app, headers, requests)
    assert longest < HELD, f"{longest * 1000:.0f} ms"
    assert [each.status_code for each in answers] == [status for status, _, _ in wanted]
    assert "too many lists" in answers[-1].json()["detail"]
