"""Steps of what comes in: events at the doors, letters and what is done about them, imported files."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from random import Random

from footfall.errors import Conflict, LogFull, Retryable
from footfall.imports.clicks import bitly
from footfall.imports.clicks.chunk import event_id
from footfall.imports.clicks.line import RefusedLine
from footfall.imports.runs import is_cut
from footfall.model.record import RawEvent, Record, SenderContext, encode
from tests.faults.chance.parts import SECRET, SITES, World, new_id
from tests.faults.chance.truth import Sent

DAY = 86_400
WORKSPACES = ("acme", "other")
POISON = "https://acme.example/poison"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"
BIG = '{"x":"' + "y" * 6000 + '"}'


def _made(world: World, rng: Random, workspace: str, *, client_id: bool) -> Sent:
    now = world.clock.true()
    age = rng.choice([0, 0, 3600, 5 * DAY, 40 * DAY, 70 * DAY, 400 * DAY]) * rng.random()
    return Sent(
        workspace,
        new_id(),
        rng.choice(list(SITES)),
        rng.choice(["click", "page_view"]),
        int((now - age) * 1000),
        rng.randrange(1, 6),
        client_id,
    )


def _raw(event: Sent, *, poison: bool = False, big: bool = False) -> RawEvent:
    return RawEvent(
        event.event_id,
        event.event_type,
        event.occurred_at,
        site_id=event.site,
        visitor_id=event.visitor,
        device_hash=event.visitor,
        client_id=event.client_id,
        page_url=POISON if poison else "https://acme.example/",
        properties=BIG if big else "",
    )


async def _send(
    world: World,
    rng: Random,
    events: Sequence[Sent],
    poison: frozenset[bytes] = frozenset(),
    *,
    big: bool = False,
) -> str:
    """One record with these events, at any door."""
    raw = [_raw(each, poison=each.event_id in poison, big=big) for each in events]
    shown = int(world.clock.shown() * 1000)
    data = encode(
        Record(1, shown, events[0].workspace, "api", raw, [SenderContext(CHROME, country_code="DE")])
    )
    door = rng.randrange(len(world.doors))
    sure = True
    try:
        await world.append(door, data)
    except LogFull:
        sure = False
    world.truth.note(events, world.clock.true(), sure=sure, bad=poison)
    return f"{len(events)} events at door {door}{'' if sure else ', refused'}"


async def post(world: World, rng: Random) -> str:
    workspace, named = rng.choice(WORKSPACES), rng.random() < 0.8
    return await _send(
        world, rng, [_made(world, rng, workspace, client_id=named) for _ in range(rng.choice([1, 3, 12]))]
    )


async def flood(world: World, rng: Random) -> str:
    """Much at once: segments roll, and the log may be full."""
    done = [
        await _send(
            world, rng, [_made(world, rng, "acme", client_id=rng.random() < 0.2) for _ in range(4)], big=True
        )
        for _ in range(rng.choice([4, 12, 30]))
    ]
    return f"{len(done)} large records, {sum('refused' in each for each in done)} refused"


async def poison(world: World, rng: Random) -> str:
    events = [_made(world, rng, "acme", client_id=rng.random() < 0.8) for _ in range(rng.choice([1, 4]))]
    return await _send(world, rng, events, frozenset({rng.choice(events).event_id}))


async def resend(world: World, rng: Random) -> str:
    """Events with their clients' ids again; those that became letters by preference."""
    workspace = rng.choice(WORKSPACES)
    known = [each for each in world.truth.sent.values() if each.client_id and each.workspace == workspace]
    if not known:
        return "nothing to send again"
    bad = [each for each in known if any(copy.bad for copy in each.copies)]
    recent = known[-30:]
    chosen = rng.sample(
        pool := bad if bad and rng.random() < 0.5 else recent, min(len(pool), rng.choice([1, 2, 6]))
    )
    return await _send(world, rng, chosen)


async def garbage(world: World, rng: Random) -> str:
    """A record that no program can read."""
    with suppress(LogFull):
        await world.append(rng.randrange(len(world.doors)), b"\xc1 no record")
        world.truth.garbage += 1
    return "one"


async def deploy_bad(world: World, rng: Random) -> str:
    world.broken = True
    return "some events cannot be made into rows now"


async def deploy_fix(world: World, rng: Random) -> str:
    world.broken = False
    return "they can again"


async def retry(world: World, rng: Random) -> str:
    """Somebody has the letters tried again."""
    due = 0
    for workspace in WORKSPACES:
        for reason in ("unprocessable", "refused_by_store"):
            due += await world.letters.retry_all(workspace, reason)
    return f"{due} letters"


async def discard(world: World, rng: Random) -> str:
    """Somebody gives a letter up."""
    for workspace in WORKSPACES:
        for letter in (await world.letters.page(workspace)).letters:
            if rng.random() < 0.5 and letter.retryable:
                with suppress(Conflict):
                    whole = await world.letters.show(workspace, letter.shard, letter.seq)
                    await world.letters.discard(workspace, letter.shard, letter.seq)
                    (event,) = whole.record().events
                    sent = world.truth.sent[workspace, event.event_id]
                    sent.discarded += 1
                    return "one"
    return "none"


def _lines(world: World, rng: Random) -> list[str]:
    """A file to import: it grows, and begins anywhere in history."""
    if not world.lines or rng.random() < 0.3:
        first = int(world.clock.true() - rng.choice([1, 30, 300, 1000]) * DAY)
        for number in range(rng.choice([5, 400])):
            at = first + number * rng.choice([60, 3600])
            if at < world.clock.true():
                url = f"https://example.com/{len(world.lines)}"
                world.lines.append(json.dumps({"h": f"c{number % 3}", "hh": "go.example", "u": url, "t": at}))
    return world.lines


async def _import(world: World, rng: Random, *, again: bool) -> str:
    file = _lines(world, rng)
    start = rng.choice([0, 0, rng.randrange(len(file) + 1)])
    lines = file[start : start + rng.choice([10, 500])]
    if not lines:
        return "nothing"
    events: list[Sent] = []
    for line in lines:
        click = bitly.parse(line)
        assert not isinstance(click, RefusedLine)
        name = event_id(SECRET, line.encode(), 1)
        events.append(Sent("acme", name, "", "click", click.occurred_at, 0, client_id=False, imported=True))
    await world.start()
    if again:
        await _insisted_on(world, events)
    elif start > 0:  # up to the first run that begins here no registry knows the lines of a file cut off so
        cut = next((number for number, line in enumerate(lines) if is_cut(line.encode())), len(lines))
        await _insisted_on(world, events[: cut + 1])
    importer = world.importer()
    try:
        await asyncio.sleep(0.002)  # what was there before is older than the process
        outcome = await importer.add(world.workspace("acme"), "bitly", lines, [1] * len(lines), again=again)
    except Retryable as error:
        world.truth.note(events, world.clock.true(), sure=False)
        return f"not taken: {error}"
    finally:
        await world.close_importer()
    _note_import(world, events, outcome.accepted)
    if world.clock.skew:  # by a clock that is behind some lines lie in the future, and are refused
        world.truth.refused += len(lines) - outcome.accepted - outcome.present
    return f"{len(lines)} lines, {outcome.accepted} accepted, {outcome.present} present"


async def _insisted_on(world: World, events: Sequence[Sent]) -> None:
    """Of these lines those whose events retention deleted are counted again."""
    there = {name.bytes for (name,) in await world.store.query("SELECT event_id FROM events")}
    stored = world.truth.rows_of()
    for each in events:
        if stored[each.name] and each.event_id not in there:
            world.truth.sent[each.name].bounded = False


def _note_import(world: World, events: Sequence[Sent], accepted: int) -> None:
    """Which were taken is not said; those that were never acknowledged before, if it is as many as that."""
    at = world.clock.true()
    fresh = [each for each in events if each.name not in world.truth.sent]
    if len(fresh) == accepted:
        world.truth.note(fresh, at, sure=True)
        return
    world.truth.note(events, at, sure=False)


async def import_file(world: World, rng: Random) -> str:
    return await _import(world, rng, again=False)


async def import_again(world: World, rng: Random) -> str:
    return await _import(world, rng, again=True)
