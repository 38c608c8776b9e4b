"""What must hold after every step, judged by the test's own count."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import msgspec

from footfall.errors import NotFound, Retryable
from footfall.query.answers import QueryRunner
from footfall.query.language.body import Query, resolve_query
from footfall.query.language.ranges import period_of
from footfall.state.ledger import HOUR
from footfall.units import FOREVER
from footfall.verify.verifier import Verifier
from footfall.worker.in_flight import InFlightCounter
from tests.faults.chance.parts import World, Wrong
from tests.faults.chance.sending import DAY, WORKSPACES
from tests.faults.chance.truth import Row, Sent

_ROWS = """
SELECT shard, seq, workspace_id, event_id, site_id, event_type, toUnixTimestamp64Milli(occurred_at),
    toUnixTimestamp64Milli(received_at), visitor_id
FROM events
"""
_FOREVER = 2**60
_OF_EVENTS = ("unprocessable", "refused_by_store")


async def look(world: World) -> list[Row]:
    """The rows that are in the store now; each must be one that was sent, and stand there once."""
    rows = [
        Row((shard, seq), (workspace, name.bytes), *rest)
        for shard, seq, workspace, name, *rest in await world.store.query(_ROWS)
    ]
    doubled = [position for position, count in Counter(row.position for row in rows).items() if count > 1]
    if doubled:
        raise Wrong(f"positions with several rows: {doubled[:3]}")
    for row in rows:
        sent = world.truth.sent.get(row.name)
        if sent is None:
            raise Wrong(f"a row that nobody sent: {row}")
        if (row.site, row.event_type, row.occurred_at) != (sent.site, sent.event_type, sent.occurred_at):
            raise Wrong(f"a row that says something else than was sent: {row}, {sent}")
    world.truth.seen |= {row.position: row for row in rows}
    for name, count in world.truth.rows_of().items():
        sent = world.truth.sent[name]
        if count > sent.most(world.truth.window, world.truth.ids):
            raise Wrong(f"DOUBLE: {count} rows of {sent}")
    return rows


def kept(world: World, rows: list[Row]) -> None:
    """What was stored is there, unless its time was over by the true clock."""
    there = {row.position for row in rows}
    ages = [age for age, _ in world.policies if age != FOREVER]
    for position, row in world.truth.seen.items():
        if position not in there:
            # Whatever the clock said when it came: within the days between two marks of what is closed.
            came = min(copy.at for copy in world.truth.sent[row.name].copies) - 3 * DAY
            newest = max(row.occurred_at / 1000, row.received_at / 1000, came)
            if not ages or newest + min(ages) > world.clock.true():
                raise Wrong(f"DELETED too early: {row}")


async def answers(world: World, rng: Random, count: int) -> None:
    """Answers of questions are what is stored, or say that they are not."""
    engine = world.engine()
    for _ in range(count):
        workspace = rng.choice(WORKSPACES)
        start, end = _range(world, rng)
        by = rng.choice(["", "", "site_id", "event_type"])
        metrics = rng.choice([["events"], ["events", "visitors"], ["clicks"], ["events", "last_at"]])
        body = {
            "metrics": metrics,
            "date_range": [start.isoformat(), end.isoformat()],
            "dimensions": [by] if by else [],
            "include": {"bots": True},
            "timezone": rng.choice(["UTC", "Europe/Berlin"]),
        }
        query = msgspec.convert(body, Query)
        at = datetime.fromtimestamp(world.clock.true(), UTC)
        asked = resolve_query(query, workspace, period_of(query, at), {})
        before = world.truth.seen.copy()
        table = await QueryRunner(engine, asked, None, 20.0).table()
        await look(world)
        bounds = asked.question.period.start, asked.question.period.end
        missing = [said.metrics for found in table.found for said in found.missing]
        answered = {
            (row.dimensions[0] if by else ""): dict(zip(metrics, row.metrics, strict=True))
            for row in table.rows
        }
        least, most = (
            _counted(seen.values(), workspace, bounds, by, metrics) for seen in (before, world.truth.seen)
        )
        for key in least.keys() | most.keys() | answered.keys():
            got = answered.get(key, {})
            for name in ("events", "clicks", "visitors"):
                if name not in metrics:
                    continue
                low, high = least[key][name], most[key][name]
                value = got.get(name, 0)
                told = any(not metrics_said or name in metrics_said for metrics_said in missing)
                if value > high or (value < low and not told):
                    raise Wrong(
                        f"ANSWER: {workspace} {body}: {name} of {key or 'all'} is {value}, must be"
                        f" {low}{f' to {high}' if high != low else ''}; told: {told},"
                        f" source {table.found[0].source}"
                    )


def _counted(rows, workspace, bounds, by, metrics):  # type: ignore[no-untyped-def] - see answers
    counted: dict[str, Counter[str]] = {}
    visitors: dict[str, set[int]] = {}
    for row in rows:
        if row.name[0] != workspace or not bounds[0] <= row.occurred_at < bounds[1]:
            continue
        key = {"": "", "site_id": row.site, "event_type": row.event_type}[by]
        if metrics == ["clicks"] and row.event_type != "click":
            continue
        figures = counted.setdefault(key, Counter())
        figures["events"] += 1
        figures["clicks"] += row.event_type == "click"
        visitors.setdefault(key, set()).update({row.visitor} - {0})
        figures["visitors"] = len(visitors[key])
    return Missing(counted)


class Missing(dict[str, Counter[str]]):
    """Of what is not there nothing was counted."""

    def __missing__(self, _: str) -> Counter[str]:
        return Counter()


def _range(world: World, rng: Random) -> tuple[datetime, datetime]:
    now = world.clock.true()
    times = [each.occurred_at / 1000 for each in world.truth.sent.values()] or [now]
    if rng.random() < 0.3:
        start, end = min(times), max(*times, now)
    else:
        start, end = sorted(rng.choice([*times, now]) + rng.uniform(-2, 2) * DAY for _ in range(2))
    unit = rng.choice([DAY, DAY, 3600, 1])
    return (
        datetime.fromtimestamp(start // unit * unit, UTC),
        datetime.fromtimestamp(end // unit * unit + unit, UTC),
    )


async def books(world: World) -> None:
    """The ledger balances, and with what is in flight it has what was sent."""
    counter = InFlightCounter(world.reading)
    for workspace in (*WORKSPACES, "default"):
        found = await world.ledger.books(workspace, 0, _FOREVER)
        if found.imbalances:
            raise Wrong(f"BOOKS do not balance: {found.imbalances[:2]}")
    with suppress(Retryable):
        received = 0
        for workspace in (*WORKSPACES, "default"):
            found = await world.ledger.books(workspace, 0, _FOREVER)
            waiting = await counter(workspace, None, 0, _FOREVER, found.closed)
            received += sum(line.events for line in found.lines if line.outcome == "received")
            received += sum(waiting.by_hour.values())
        if not world.worker and not world.holds:
            _within("BOOKS: received and in flight", received, world)


def _within(what: str, value: int, world: World) -> None:
    low, high = world.truth.acknowledged, world.truth.possible
    if not low <= value <= high:
        raise Wrong(f"{what}: {value}, acknowledged {low}, possible {high}")


def complete(world: World, rows: list[Row], through: float, letters: set[bytes]) -> None:
    """`complete_through`, as it was before the rows were looked at, does not lie."""
    if not world.trusted or world.settings.overflow == "drop_oldest":
        return
    there = {row.name for row in world.truth.seen.values()}
    for sent in world.truth.sent.values():
        for copy in sent.copies:
            if copy.sure and copy.at < through and sent.name not in there and not _excused(sent, letters):
                raise Wrong(f"COMPLETE through {through - world.clock.true():.2f} s from now, without {sent}")


def _excused(sent: Sent, letters: set[bytes]) -> bool:
    return sent.event_id in letters or sent.discarded > 0


async def letters_of(world: World) -> set[bytes]:
    """The ids of the events that are dead letters."""
    found: set[bytes] = set()
    for workspace in WORKSPACES:
        for letter in (await world.letters.page(workspace, limit=10_000)).letters:
            with suppress(NotFound):  # the worker may be trying it
                whole = await world.letters.show(workspace, letter.shard, letter.seq)
                if letter.reason not in _OF_EVENTS:
                    continue
                for event in whole.record().events:
                    sent = world.truth.sent[workspace, event.event_id]
                    if not any(copy.bad for copy in sent.copies):
                        raise Wrong(f"a LETTER of an event that nothing was wrong with: {sent}, {letter}")
                    found.add(event.event_id)
    return found


async def settled(world: World) -> None:
    """Everything that was acknowledged has been taken: nothing is lost, and the books say so."""
    await look(world)
    letters = await letters_of(world)
    outcomes: Counter[str] = Counter()
    for workspace in (*WORKSPACES, "default"):
        for line in (await world.ledger.books(workspace, 0, _FOREVER)).lines:
            outcomes[line.outcome] += line.events
    counts = world.truth.rows_of()
    lost = [
        sent
        for sent in world.truth.sent.values()
        if sent.acknowledged and not counts[sent.name] and not _excused(sent, letters)
    ]
    dropped = outcomes["dropped"] - sum(sent.discarded for sent in world.truth.sent.values())
    if sum(sent.acknowledged for sent in lost) > dropped:
        raise Wrong(f"LOST: {len(lost)} events, {dropped} dropped, first {lost[:2]}; ledger {dict(outcomes)}")
    _within("BOOKS: received", outcomes["received"], world)
    if outcomes["stored"] != len(world.truth.seen):
        raise Wrong(f"BOOKS: stored {outcomes['stored']}, but {len(world.truth.seen)} rows were seen")


async def verified(world: World) -> None:
    """`verify` has no false alarm."""
    verifier = Verifier(
        world.store,
        world.reading,
        world.state,
        window=world.settings.recent_ids_window,
        limit=world.truth.ids,
    )
    hours = sorted({row.received_at // HOUR * HOUR for row in world.truth.seen.values()})
    for start in hours[:3] + hours[3:][-5:]:
        for finding in (await verifier.run(start, start + HOUR)).findings:
            if finding.level == "error":
                raise Wrong(f"VERIFY finds {finding}")


async def after_step(world: World, rng: Random) -> None:
    """After every step."""
    world.look()
    through = world.worker.complete_through if world.worker else 0.0
    letters = await letters_of(world)
    rows = await look(world)
    kept(world, rows)
    if world.life.failing or world.life.dead:
        through = 0.0 if world.life.dead else through
    complete(world, rows, through, letters | await letters_of(world))
    await books(world)
    await answers(world, rng, 2)


async def at_the_end(world: World, rng: Random) -> None:
    """Everything is right again, and the worker takes what is left."""
    world.release()
    world.clock.skew = 0.0
    world.life.failing.clear()
    await world.drained()
    await settled(world)
    await world.stop()
    await after_step(world, rng)
    await settled(world)
    if world.trusted:
        await verified(world)
