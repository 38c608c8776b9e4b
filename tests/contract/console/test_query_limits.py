"""Limits of those who ask: hang-ups, files that break off, turns of a key."""

import asyncio

import httpx
import pytest

from footfall.api.concurrency import Limiter
from footfall.errors import TooMany
from footfall.metrics import HANG_UPS
from footfall.tenants.model import Key
from tests.console import Console
from tests.contract.acme import assert_problem
from tests.contract.slow import Breaks, Gate, HeldExports, Slow, asked, running, served, until

OVERVIEW = "/api/v1/analytics/overview"
EXPORT = "/api/v1/export/events?format=csv&start_date=2026-03-01&end_date=2026-03-07"
QUERY = {"metrics": ["visitors"], "date_range": ["2026-03-01", "2026-03-07"]}
ROUTES = {
    "report": ("GET", OVERVIEW, None),
    "export": ("GET", EXPORT, None),
    "query": ("POST", "/v1/query", QUERY),
    "query export": ("POST", "/v1/export", QUERY | {"format": "csv"}),
}


# Hang-ups


@pytest.mark.parametrize("route", ROUTES)
def test_who_hangs_up_ends_the_question(acme, route):
    store = acme.console.store
    method, path, body = ROUTES[route]

    async def check():
        async with served(acme.console.with_store(Slow(store)), acme.key) as client:
            for _ in range(6):  # more than the store answers at once
                asking = asyncio.create_task(client.request(method, path, json=body))
                await until(lambda: running(store))
                asking.cancel()
                await until(lambda: _none(store))

    acme.console.run(check())


def test_who_waits_for_the_answer_has_not_hung_up(acme):
    async def check():
        async with served(acme.console, acme.key) as client:
            before = HANG_UPS._value.get()
            for method, path, body in ROUTES.values():
                assert (await client.request(method, path, json=body)).status_code == 200
            assert HANG_UPS._value.get() == before

    acme.console.run(check())


async def _none(store):
    return not await running(store)


def test_one_of_two_who_hangs_up_leaves_the_answer_to_the_other(acme):
    gate = Gate(acme.console.store)

    async def check():
        async with served(acme.console.with_store(gate), acme.key) as client:
            leaving = asyncio.create_task(client.post("/v1/query", json=QUERY))
            staying = asyncio.create_task(client.post("/v1/query", json=QUERY))
            await until(lambda: asked(gate))
            leaving.cancel()
            gate.open.set()
            assert (await staying).status_code == 200

    acme.console.run(check())


# What breaks on its way


def test_a_file_that_breaks_off_does_not_look_whole(acme, monkeypatch):
    monkeypatch.setattr("footfall.query.export.events._FIRST_ROWS", 50)
    monkeypatch.setattr("footfall.query.export.events.PAGE_ROWS", 50)

    async def check():
        async with served(acme.console.with_store(Breaks(acme.console.store)), acme.key) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(EXPORT)

    acme.console.run(check())


def test_an_export_that_fails_at_once_is_an_ordinary_refusal(acme):
    broken = Breaks(acme.console.store)
    broken.calls = 10
    assert_problem(acme.console.with_store(broken).get(EXPORT, acme.key), 503)


# Turns


def limited(console, store, **settings):
    """The console over another store, with other settings."""
    runner, _, tenants, directory, ours = console._parts
    return Console(runner, store, tenants, directory, ours.model_copy(update=settings))


async def refused_of(requests):
    """Who asks once more than may run and wait is refused, at once; `requests`, all of them."""
    done, waiting = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    assert_problem(refused.result(), 429)
    assert int(refused.result().headers["Retry-After"]) >= 1
    return waiting


def test_a_key_that_asks_too_much_at_once_waits_and_then_is_told_so(acme):
    gate = Gate(acme.console.store)
    console = limited(acme.console, gate, query_concurrency=2, query_timeout=600)

    async def check():
        async with served(console, acme.key) as client:
            asking = [
                asyncio.create_task(client.get(OVERVIEW, params={"site_id": f"s{n}"}))
                for n in range(2 + 20 + 1)
            ]
            waiting = await refused_of(asking)
            other = {"Authorization": f"Bearer {acme.others_key}"}
            others = asyncio.create_task(client.get(OVERVIEW, headers=other))
            await until(lambda: _three(gate))
            gate.open.set()
            answers = await asyncio.gather(*waiting, others)
            assert {answer.status_code for answer in answers} == {200}

    acme.console.run(check())


async def _three(gate):
    return gate.asked.total() >= 3


def test_who_waits_for_a_turn_longer_than_a_question_may_take_is_told_so():
    async def check():
        limiter = Limiter(1, 0.001)
        async with limiter.turn(key("a")):
            with pytest.raises(TooMany) as refused:
                await _turn(limiter)
            assert refused.value.retry_after == 1

    asyncio.run(check())


def test_a_limiter_forgets_workspaces_that_ask_nothing_and_bounds_those_that_wait():
    async def check():
        limiter = Limiter(1, 500)
        async with limiter.turn(key("a")), limiter.turn(key("b")):
            waiting = [asyncio.create_task(_turn(limiter)) for _ in range(10)]
            await asyncio.sleep(0)
            with pytest.raises(TooMany, match="at once") as refused:
                await _turn(limiter)
            assert refused.value.retry_after == 500  # by then none of those who wait now waits
            waiting[0].cancel()
            await asyncio.wait({waiting[0]})
        await asyncio.gather(*waiting[1:])
        assert not limiter._asking

    asyncio.run(check())


def key(workspace, name="key"):
    return Key(name, workspace, "", ("read",))


async def _turn(limiter):
    async with limiter.turn(key("a")):
        pass


def test_exports_do_not_take_the_turns_of_questions(acme):
    held = HeldExports(acme.console.store)
    console = limited(acme.console, held, export_concurrency=1, query_timeout=600)

    async def check():
        async with served(console, acme.key) as client:
            waiting = await refused_of([asyncio.create_task(client.get(EXPORT)) for _ in range(1 + 10 + 1)])
            assert (await client.get(OVERVIEW)).status_code == 200
            held.open.set()
            answers = await asyncio.gather(*waiting)
            assert {answer.status_code for answer in answers} == {200}

    acme.console.run(check())
