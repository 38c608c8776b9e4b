"""One key, or one workspace, costs the others at most its share of the readers, the queue and the exports."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from footfall.api import concurrency
from footfall.api.concurrency import Limiter
from footfall.errors import Retryable, TooMany
from footfall.query.catalog.fields import Values
from footfall.query.language.question import Comparison
from footfall.query.sql.conditions import Conditions
from footfall.tenants.model import Key
from tests.console import Console, open_console
from tests.contract.acme import Acme, assert_problem
from tests.contract.slow import Other, running, served, until

pytestmark = pytest.mark.anyio

OVERVIEW = "/api/v1/analytics/overview"
EXPORT = "/api/v1/export/events?format=csv&start_date=2026-03-01&end_date=2026-03-07"
RANGE = ["2026-03-01", "2026-03-07"]


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield Acme(console)


class SlowFor(Other):
    """The questions of one workspace take for ever; the real store runs them."""

    def __init__(self, store, workspace):
        super().__init__(store)
        self._workspace = workspace

    async def query(self, sql, parameters=None, **limits):
        return await self._store.query(self._sql(sql, parameters), parameters, **limits)

    async def arrow(self, sql, parameters=None, **limits):
        return await self._store.arrow(self._sql(sql, parameters), parameters, **limits)

    def _sql(self, sql, parameters):
        if parameters and self._workspace in parameters.values():
            return f"SELECT sum(sipHash64(number)) FROM numbers(1000000000000) WHERE {'1 OR ' * 9}0"
        return sql


def console_slow_for_acme(acme):
    runner, _, tenants, directory, settings = acme.console._parts
    return Console(runner, SlowFor(acme.console.store, acme.acme), tenants, directory, settings)


ATTACKS = {
    "reports of one key": lambda n: ("GET", f"{OVERVIEW}?site_id=s{n}", None),
    "queries of one key": lambda n: (
        "POST", "/v1/query", {"metrics": ["visitors"], "date_range": RANGE, "site_id": f"s{n}"}
    ),
    "reports that ask five questions": lambda n: ("GET", f"/api/v1/analytics/links/LINK?os=o{n}", None),
    "exports": lambda n: ("GET", f"{EXPORT}&site_id=s{n}", None),
    "all of these": lambda n: (
        ("GET", f"{OVERVIEW}?site_id=t{n}", None) if n % 2 else ("GET", f"{EXPORT}&site_id=t{n}", None)
    ),
}  # fmt: skip


@pytest.mark.parametrize("keys", [1, 12])
@pytest.mark.parametrize("attack", ATTACKS)
def test_another_workspace_is_answered_while_one_asks_all_it_may(acme, attack, keys):
    tenants = acme.console.tenants

    async def check():
        secrets = [(await tenants.create_key(acme.acme, f"{n}", ["read"]))[1] for n in range(keys)]
        async with served(console_slow_for_acme(acme), acme.others_key) as client:
            asking = []
            for number in range(24):
                method, path, body = ATTACKS[attack](number)
                bearer = {"Authorization": f"Bearer {secrets[number % keys]}"}
                path = path.replace("LINK", acme.link.id)
                asking.append(
                    asyncio.create_task(client.request(method, path, json=body, headers=bearer, timeout=60))
                )
            await until(lambda: _busy(acme.console.store))
            for number in range(3):
                answer = await client.get(OVERVIEW, params={"site_id": f"{attack}{number}"}, timeout=15)
                assert answer.status_code == 200, answer.text
                assert await _busy(acme.console.store)  # still
            for task in asking:
                task.cancel()
            await until(lambda: _idle(acme.console.store))

    acme.console.run(check())


async def _busy(store):
    found = await store.query(
        "SELECT countIf(query LIKE '%sipHash64%' AND query NOT LIKE '%processes%') FROM system.processes",
        lane="worker",
    )
    return found[0][0] >= 2


async def _idle(store):
    return not await running(store)


SLOW = {
    "questions": ("query_concurrency", "/v1/query", OVERVIEW),
    "exports": ("export_concurrency", "/v1/export", EXPORT),
}


@pytest.mark.parametrize("what", SLOW)
def test_another_key_of_the_workspace_is_answered_while_one_sends_slowly(acme, what):
    """As many bodies as there are turns, each half there: the server has asked for the rest of each."""
    most, slow, path = SLOW[what]
    tenants = acme.console.tenants

    async def check():
        secret = (await tenants.create_key(acme.acme, "slow", ["admin"]))[1]
        async with served(acme.console, acme.key) as client, AsyncExitStack() as stack:
            for _ in range(getattr(acme.console._parts[-1], most)):
                reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
                stack.callback(writer.close)
                writer.write(
                    b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
                    b"Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
                    % (slow.encode(), secret.encode())
                )
                assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text

    acme.console.run(check())


# One queue, of bounded length


def key(workspace, name="key"):
    return Key(name, workspace, "", ("read",))


async def hold(limiter, asker, until_set):
    async with limiter.turn(asker):
        await until_set.wait()


async def test_of_all_only_so_many_wait(monkeypatch):
    monkeypatch.setattr(concurrency, "_QUEUE", 5)
    limiter, go = Limiter(1, 30), asyncio.Event()
    tasks = [asyncio.create_task(hold(limiter, key(f"w{n}"), go)) for n in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Retryable) as refused:
        await hold(limiter, key("another"), go)
    assert not isinstance(refused.value, TooMany)  # it is not this one's fault: 503
    assert refused.value.retry_after == 30
    go.set()
    await asyncio.gather(*tasks)
    await hold(limiter, key("another"), go)


async def test_many_workspaces_share_the_turns_and_a_late_one_does_not_wait_for_the_queue_of_another():
    limiter, go, order = Limiter(2, 30), asyncio.Event(), []

    async def ask(workspace, number):
        async with limiter.turn(key(workspace, f"{number}")):
            order.append(workspace)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(ask("greedy", number))
        await asyncio.sleep(0.005)
        group.create_task(ask("modest", 0))
    assert order.index("modest") < 5
    go.set()


async def test_who_waits_for_others_too_long_is_told_503_and_who_waits_for_itself_429(monkeypatch):
    monkeypatch.setattr(concurrency, "WORKSPACES", 1)
    limiter, go = Limiter(1, 0.05), asyncio.Event()
    holding = asyncio.create_task(hold(limiter, key("a"), go))
    await asyncio.sleep(0)
    with pytest.raises(Retryable) as others:
        await hold(limiter, key("b"), go)
    assert not isinstance(others.value, TooMany)
    with pytest.raises(TooMany):
        await hold(limiter, key("a"), go)
    go.set()
    await holding


def test_a_search_for_many_texts_that_is_given_up_ends_in_the_engine(acme):
    """As many as are allowed, that are alike, whatever their case, in rows that have no end."""
    texts = tuple(f"value-{number}-{'y' * 60}" for number in range(2000))
    values, store = Values(), acme.console.store
    row = "concat('Value-', toString(number), '-', repeat('y', 59))"
    conditions = Conditions(values, lambda _: row, lambda _: "")
    where = conditions.sql(Comparison("page_url", "contains", texts, case_sensitive=False))

    async def check():
        asking = asyncio.create_task(
            store.query(f"SELECT count() FROM numbers(1000000000000) WHERE {where}", values.parameters)
        )
        await until(lambda: _searching(store))
        asking.cancel()
        await until(lambda: _found(store))

    acme.console.run(check())


async def _searching(store):
    found = await store.query(
        "SELECT count() FROM system.processes"
        " WHERE query LIKE '%multiSearch%' AND query NOT LIKE '%processes%'",
        lane="worker",
    )
    return found[0][0] > 0


async def _found(store):
    return not await _searching(store)


def test_the_queue_of_one_key_ends_and_says_when_to_come_again(acme):
    async def check():
        async with served(console_slow_for_acme(acme), acme.key) as client:
            asking = [
                asyncio.create_task(client.get(OVERVIEW, params={"site_id": f"q{n}"}, timeout=60))
                for n in range(3 + 30 + 1)
            ]
            done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            answer = done.pop().result()
            assert_problem(answer, 429)
            assert int(answer.headers["Retry-After"]) >= 1
            for task in waiting:
                task.cancel()
            await until(lambda: _idle(acme.console.store))

    acme.console.run(check())
