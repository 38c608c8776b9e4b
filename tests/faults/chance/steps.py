"""What may happen. A step is a name and a seed: what it does depends on these, and on what was before."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from footfall.errors import FootfallError, Retryable
from footfall.units import FOREVER
from tests.faults.chance.life import Crash, Life
from tests.faults.chance.parts import World
from tests.faults.chance.sending import (
    DAY,
    deploy_bad,
    deploy_fix,
    discard,
    flood,
    garbage,
    import_again,
    import_file,
    poison,
    post,
    resend,
    retry,
)

# The worker's life


async def start(world: World, rng: Random) -> str:
    await world.start()
    await asyncio.sleep(rng.choice([0, 0.05]))
    return ""


async def stop(world: World, rng: Random) -> str:
    await world.stop()
    return ""


async def kill(world: World, rng: Random) -> str:
    if rng.random() < 0.8:
        await world.start()
    calls = rng.choice([0, rng.randrange(1, 40), rng.randrange(1, 40), 100])
    await world.kill(calls)
    return f"at call {calls}"


async def drain(world: World, rng: Random) -> str:
    world.release()
    await world.drained()
    return ""


async def fail(world: World, rng: Random) -> str:
    """The next calls of a part fail."""
    name = rng.choice(
        [
            "before log.read",
            "before log",
            "after log",
            "before state",
            "after state",
            "before store",
            "within store",
        ]
    )
    world.life.failing[name] = rng.choice([1, 3])
    return name


async def hold(world: World, rng: Random) -> str:
    how = world.hold(rng)
    if rng.random() < 0.7:
        await start(world, rng)
        await asyncio.sleep(0.15)
    return how


async def release(world: World, rng: Random) -> str:
    world.release()
    return ""


async def door(world: World, rng: Random) -> str:
    number = rng.randrange(len(world.doors))
    await world.reopen(number)
    return f"{number} ends and starts"


async def log_retention(world: World, rng: Random) -> str:
    oldest = await world.days.now() - world.settings.log_retention
    try:
        return f"{sum([await each.retain(oldest) for each in world.doors])} records"
    except Retryable as error:  # a segment is held
        return f"not now: {error}"


# Time


async def later(world: World, rng: Random) -> str:
    window = world.truth.window
    seconds = rng.choice([1.0, window * 0.4, window * 0.8, window * 1.3, window * 2.5, 3600.0])
    world.clock.advance(seconds)
    return f"by {seconds:g} s"


async def much_later(world: World, rng: Random) -> str:
    days = rng.choice([1, 8, 35, 100])
    world.clock.advance(days * DAY)
    return f"by {days} days"


async def wrong_clock(world: World, rng: Random) -> str:
    """The clock is wrong for a while, in which other things happen."""
    world.trusted = False
    for each in world.truth.sent.values():  # when a resend is within the window nobody knows
        each.bounded = False
    if world.clock.skew:
        world.clock.skew = 0.0
        return "right again"
    world.clock.skew = rng.choice([-400, -2, -0.1, 0.1, 2, 400, 3650]) * DAY
    return f"by {world.clock.skew / DAY:g} days"


# Rollups and retention


async def _job(world: World, rng: Random, work: Callable[[Life], Awaitable[object]]) -> str:
    """A job, which may be killed or fail."""
    life = Life()
    if rng.random() < 0.3:
        life.left = rng.randrange(1, 25)
    elif rng.random() < 0.2:
        life.failing[rng.choice(["before state", "after state", "before store", "after store"])] = 1
    try:
        await work(life)
    except Crash:
        return "killed"
    except FootfallError as error:
        return f"failed: {error}"
    return "done"


async def slices(world: World, rng: Random) -> str:
    return await _job(world, rng, lambda life: world.rollups(life).slice_all())


async def tick(world: World, rng: Random) -> str:
    return await _job(world, rng, lambda life: world.rollups(life).tick())


async def retention(world: World, rng: Random) -> str:
    """Three nights: a day after a gap is believed on the next; what is due is announced before it goes."""

    async def nights(life: Life) -> None:
        job = world.retention(life)
        for _ in range(2):
            await job.apply()
            world.clock.advance(DAY)
            await world.look_at_the_clock()
        await job.apply()

    if rng.random() < 0.6:
        with suppress(FootfallError):
            await world.rollups(Life()).slice_all()
    return await _job(world, rng, nights)


async def settings(world: World, rng: Random) -> str:
    """Another setting, from the next start on."""
    changes = {
        "raw_retention": rng.choice([FOREVER, 10.0 * DAY, 40.0 * DAY, 90.0 * DAY]),
        "rollup_retention": rng.choice([FOREVER, 20.0 * DAY, 60.0 * DAY, 200.0 * DAY]),
    }
    changes = dict([rng.choice(list(changes.items()))])
    world.settings = world.settings.model_copy(update=changes)
    world.policies.append((world.settings.raw_retention, world.clock.true()))
    await world.stop()
    return ", ".join(f"{name} {value / DAY:g} days" for name, value in changes.items())


ALWAYS = {post: 6, resend: 5, start: 2, stop: 1, kill: 3, drain: 3, later: 3}
GROUPS: dict[str, dict[Callable[[World, Random], Awaitable[str]], int]] = {
    "letters": {poison: 3, deploy_bad: 2, deploy_fix: 2, retry: 3, discard: 1},
    "garbage": {garbage: 1},
    "imports": {import_file: 3, import_again: 2},
    "failures": {fail: 3},
    "held": {hold: 5, release: 2, door: 4, flood: 1},
    "rollups": {slices: 3, tick: 2},
    "retention": {slices: 2, retention: 4, much_later: 3, settings: 2},
    "log": {flood: 2, log_retention: 2, door: 1},
    "clock": {wrong_clock: 2},
}
STEPS = {step.__name__: step for step in (*ALWAYS, *(each for group in GROUPS.values() for each in group))}
