"""One answer for all who ask the same, for as long as it is right; and what HTTP caches are told."""

import asyncio
from types import MappingProxyType

import pytest

from footfall.errors import Invalid
from footfall.query.engine import Engine
from footfall.query.periods import Period
from footfall.query.question import Question
from footfall.state.manifest import Manifest
from footfall.state.stored import Stored
from tests.contract.acme import DAY, FIRST, RANGE
from tests.contract.slow import Gate, asked, until

OVERVIEW = "/api/v1/analytics/overview"


class State:
    """What the state says of the rollups, and can be changed."""

    version = 1
    positions = MappingProxyType({7: 1})

    async def manifest(self):
        return Manifest(self.version, (), {}, (), {}, {})

    async def stored(self, _workspace_id):
        return Stored({}, dict(self.positions), frozenset({7}))


def question(acme, **changes):
    period = Period(FIRST, FIRST + 7 * DAY, "UTC")
    return Question(workspace_id=acme.acme, period=period, metrics=("events",), **changes)


def test_who_asks_the_same_at_once_shares_one_question(acme):
    gate = Gate(acme.console.store)

    async def check():
        engine = Engine(gate, State())
        asking = [asyncio.create_task(engine.find(question(acme), 10)) for _ in range(5)]
        await until(lambda: asked(gate))
        asking[0].cancel()
        gate.open.set()
        found = await asyncio.gather(*asking[1:])
        assert {id(each) for each in found} == {id(found[0])}
        assert gate.asked.total() == 1
        assert await engine.find(question(acme), 10) is found[0]
        assert gate.asked.total() == 1

    acme.console.run(check())


def test_what_is_remembered_is_bounded_by_answers_and_by_rows(acme, monkeypatch):
    async def check(most_answers, most_rows):
        gate = Gate(acme.console.store)
        gate.open.set()
        monkeypatch.setattr("footfall.query.engine._MOST_ROWS", most_rows)
        engine = Engine(gate, State(), remember=most_answers)
        for dimension in ("country_code", "browser", "event_type"):
            found = await engine.find(question(acme, dimensions=(dimension,), limit=100), 10)
            assert len(found.rows) > 1
        asked_for = gate.asked.total()
        await engine.find(question(acme, dimensions=("event_type",), limit=100), 10)
        again = gate.asked.total() - asked_for
        await engine.find(question(acme, dimensions=("country_code",), limit=100), 10)
        return again, gate.asked.total() - asked_for - again

    assert acme.console.run(check(500, 10_000)) == (0, 0)
    assert acme.console.run(check(2, 10_000)) == (0, 1)
    assert acme.console.run(check(500, len("few"))) in {(0, 1), (1, 1)}


def test_a_failure_is_that_of_all_who_wait_and_of_nobody_after_them(acme):
    class Fails(Gate):
        async def query(self, sql, parameters=None, **limits):
            await super().query(sql, parameters, **limits)
            raise Invalid("too long")

    gate = Fails(acme.console.store)

    async def check():
        engine = Engine(gate, State())
        asking = [asyncio.create_task(engine.find(question(acme), 10)) for _ in range(3)]
        await until(lambda: asked(gate))
        gate.open.set()
        failures = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(failure) for failure in failures] == [Invalid] * 3
        with pytest.raises(Invalid):
            await engine.find(question(acme), 10)
        assert gate.asked.total() == 2

    acme.console.run(check())


@pytest.mark.parametrize("what", ["stored", "published", "another workspace"])
def test_an_answer_is_not_shown_again_when_it_may_be_another(acme, what):
    gate = Gate(acme.console.store)
    gate.open.set()
    state = State()

    async def check():
        engine = Engine(gate, state)
        now = question(acme)
        open_range = Question(
            workspace_id=acme.acme, period=Period(FIRST, 4_000_000_000_000, "UTC"), metrics=("events",)
        )
        await engine.find(now, 10)
        first = await engine.find(open_range, 10)
        if what == "stored":
            state.positions = {7: 2}
            assert await engine.find(now, 10)  # a range that is over: for a while it may
            again = await engine.find(open_range, 10)
        elif what == "published":
            state.version = 2
            again = await engine.find(now, 10)
        else:
            other = Question(workspace_id=acme.other, period=now.period, metrics=now.metrics)
            again = await engine.find(other, 10)
        assert again is not first
        assert gate.asked.total() == 3

    acme.console.run(check())


# HTTP caches


def test_an_answer_that_the_client_has_is_not_sent_again(acme):
    get = acme.console.get
    first = get(OVERVIEW, acme.key, RANGE)
    etag = first.headers["ETag"]
    assert etag.startswith('"')
    for sent in (etag, f'W/{etag}, "other"', "*"):
        again = get(OVERVIEW, acme.key, RANGE, {"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert get(OVERVIEW, acme.key, RANGE, {"If-None-Match": '"other"'}).status_code == 200
    assert get(OVERVIEW, acme.others_key, RANGE).headers["ETag"] != etag
    assert get(OVERVIEW, None, RANGE, {"If-None-Match": etag}).status_code == 401


def test_only_answers_about_what_is_over_may_be_shown_without_asking(acme):
    over, still = acme.console.get(OVERVIEW, acme.key, RANGE), acme.console.get(OVERVIEW, acme.key)
    assert over.headers["Cache-Control"] == "private, max-age=30"
    assert still.headers["Cache-Control"] == "private, no-cache"
    assert "Authorization" in over.headers["Vary"]
