"""One answer for all who ask the same, for as long as it is right; and what HTTP caches are told."""

import asyncio
from types import MappingProxyType

import pytest

from footfall.errors import Invalid
from footfall.query.engine import Engine
from footfall.query.language.periods import Period
from footfall.query.language.question import Question
from footfall.query.remembered import Remembered
from footfall.state.rollups.manifest import Manifest
from footfall.state.rollups.row_counts import RowCounts
from tests.contract.acme import DAY, FIRST, RANGE
from tests.contract.slow import Gate, asked, until
from tests.truth import columns_of, make_events

OVERVIEW = "/api/v1/analytics/overview"


class State:
    """What the state says of the rollups, and can be changed."""

    version = 1
    positions = MappingProxyType({7: 1})

    async def manifest(self):
        return Manifest(self.version, (), {}, (), {}, {})

    async def stored(self, _workspace_id):
        return RowCounts({}, dict(self.positions), frozenset({7}))


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


def test_what_is_remembered_is_bounded_by_answers_and_by_bytes(acme, monkeypatch):
    async def check(most_answers, most_bytes):
        gate = Gate(acme.console.store)
        gate.open.set()
        monkeypatch.setattr("footfall.query.remembered.MOST_BYTES", most_bytes)
        engine = Engine(gate, State(), remember=most_answers)
        for dimension in ("country_code", "browser", "event_type"):
            found = await engine.find(question(acme, dimensions=(dimension,), limit=100), 10)
            assert len(found.rows) > 1
        asked_for = gate.asked.total()
        await engine.find(question(acme, dimensions=("event_type",), limit=100), 10)
        again = gate.asked.total() - asked_for
        await engine.find(question(acme, dimensions=("country_code",), limit=100), 10)
        return again, gate.asked.total() - asked_for - again

    assert acme.console.run(check(500, 1 << 20)) == (0, 0)
    assert acme.console.run(check(2, 1 << 20)) == (0, 1)
    assert acme.console.run(check(500, 100)) == (1, 1)  # none of them is small enough


def test_long_texts_fill_what_is_remembered_as_many_rows_do(monkeypatch):
    monkeypatch.setattr("footfall.query.remembered.MOST_BYTES", 1 << 20)
    remembered = Remembered(500)
    for number in range(200):
        remembered.keep(bytes([number]), number, [("x" * 8_000, number)] * 6)
    there = [number for number in range(200) if remembered.get(bytes([number])) is not None]
    assert there == list(range(200 - len(there), 200))  # the newest
    assert 1 << 19 < len(there) * 6 * 8_000 < 1 << 20
    remembered.keep(b"large", 1, [("x" * 8_000,)] * 20)
    assert remembered.get(b"large") is None
    remembered.keep(bytes([199]), "again", [])
    assert remembered.get(bytes([199])) == "again"


def test_when_the_first_event_occurred_is_looked_for_once(acme):
    console, state, gate = acme.console, State(), Gate(acme.console.store)
    gate.open.set()
    engine = Engine(gate, state)
    workspace = console.workspace("first")

    async def ask():
        return set(await asyncio.gather(*(engine.first_event(workspace) for _ in range(5))))

    def asked_for(*, stored):
        state.positions = {7: stored}
        before = gate.asked.total()
        return console.run(ask()), gate.asked.total() - before

    assert asked_for(stored=1) == ({None}, 2)  # of the events, and of the rollups
    for stored, day in enumerate((5, 3, 4), 2):
        events = make_events(day, 1, FIRST + day * DAY, FIRST + day * DAY + 1, [workspace], seq=stored << 40)
        console.insert(columns_of(events))
        assert asked_for(stored=stored) == ({FIRST + (5 if day == 5 else 3) * DAY}, 2)
        assert asked_for(stored=stored) == ({FIRST + (5 if day == 5 else 3) * DAY}, 0)
    state.version = 2
    assert asked_for(stored=4) == ({FIRST + 3 * DAY}, 2)


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
