"""A console that access logs are sent to, the real log, and lines made to measure."""

import gzip
import io
import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from footfall import main
from footfall.imports.access_log.requests import line_identity
from footfall.imports.reader import read_chunks
from footfall.runtime import data_directory
from footfall.settings import load
from footfall.store import open_store

SAMPLE = Path(__file__).parents[2] / "examples" / "data" / "apache_access.log.gz"
REAL = gzip.decompress(SAMPLE.read_bytes())
LINES = REAL.decode().splitlines()
ADDRESSES = {line.split(" ", 1)[0] for line in LINES}
IMPORT = "/api/v1/imports/access-log"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
# Two hours ago, on the second: today's salt is alive, and nothing is too young to be compared.
NOW = int(time.time()) - 7200


@asynccontextmanager
async def console(data):
    """The console of a data directory, in this process, with a worker; all is stored when it ends."""
    token = data_directory.new_token()
    async with (
        main.own_console(load(data=data), token) as app,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://localhost",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        ) as http,
    ):
        yield http


def chunks(lines, most=20_000):
    raw = io.BufferedReader(io.BytesIO("\n".join(lines).encode()))
    return list(read_chunks(raw, most, line_identity))


async def site_of(http):
    return (await http.get("/api/v1/sites")).json()["data"][0]["id"]


async def send(http, lines, most=20_000, **options):
    """What became of the lines, in all."""
    totals = Counter()
    site_id = options.pop("site_id", None) or await site_of(http)
    for chunk in chunks(lines, most):
        body = {"site_id": site_id, "lines": chunk.lines, "occurrences": chunk.occurrences} | options
        answer = await http.post(IMPORT, json=body)
        assert answer.status_code == 202, answer.text
        result = answer.json()
        totals.update({name: result[name] for name in ("received", "present", "repeated")})
        totals.update(result["added"])
        totals.update(result["rejected"])
    return {name: count for name, count in totals.items() if count}


async def select(data, sql):
    """Rows of the store of a data directory that nobody uses."""
    store = await open_store(load(data=data))
    try:
        return await store.query(sql)
    finally:
        await store.close()


async def books(data):
    async with console(data) as http:
        found = (await http.get("/api/v1/ledger")).json()["data"]
    assert found["balanced"]
    return {name: found[name] for name in ("received", "stored", "rejected", "backfilled")}


def line(at=NOW, path="/page", status=200, address="203.0.113.9", agent=AGENT, method="GET"):
    written = datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{address} - - [{written}] "{method} {path} HTTP/1.1" {status} 512 "-" "{agent}"'
