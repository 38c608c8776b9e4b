"""Draws the steps of a seed, takes them, and cuts a run that went wrong to the steps that matter."""

import asyncio
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from footfall.eventlog.sqlite import reader
from footfall.imports import intake
from footfall.rollups import compaction
from footfall.settings import Settings
from footfall.state.rollups import row_counts
from footfall.units import FOREVER
from footfall.worker import backoff, loop, prepare
from tests.faults.chance import checks
from tests.faults.chance.clock import Clock
from tests.faults.chance.parts import World, Wrong, open_world, unreadable
from tests.faults.chance.sending import DAY, POISON
from tests.faults.chance.steps import ALWAYS, GROUPS, STEPS
from tests.faults.chance.truth import Truth


class Taken(NamedTuple):
    """A step by name and seed."""

    name: str
    seed: int


class Failure(NamedTuple):
    """What went wrong after which steps, each with what it did."""

    seed: int
    problem: str
    steps: Sequence[Taken]
    told: Sequence[str]

    def __str__(self) -> str:
        lines = [f"  {number}. {told}" for number, told in enumerate(self.told, 1)]
        return "\n".join([f"seed {self.seed}: {self.problem}", *lines])


def draw(seed: int, only: str = "") -> tuple[set[str], list[Taken]]:
    """The groups that take part in a run, and its steps. Few groups each time: they come to more together."""
    rng = Random(seed)
    groups = set(rng.sample(sorted(GROUPS), rng.choice([1, 2, 2, 3, 5])))
    groups = set(only.split("+")) if only else groups
    weights = dict(ALWAYS)
    for name in sorted(groups):
        for step, weight in GROUPS[name].items():
            weights[step] = weights.get(step, 0) + weight
    names = [step.__name__ for step in weights]
    count = rng.choice([20, 40, 60])
    return groups, [
        Taken(name, rng.randrange(1 << 30)) for name in rng.choices(names, list(weights.values()), k=count)
    ]


async def take(store: Any, seed: int, groups: set[str], steps: Sequence[Taken]) -> Failure | None:
    """One run. Returns what went wrong."""
    rng = Random(seed)
    truth = Truth(window=rng.choice([600.0, 3600.0]), ids=10**9)
    clock = Clock()
    told: list[str] = []
    with tempfile.TemporaryDirectory(dir=_memory()) as data, clock.everywhere():
        settings = chosen(Path(data), rng, groups, truth)
        try:
            async with open_world(Path(data), store, clock, settings, rng.choice([1, 2, 3]), truth) as world:
                with eager(world):
                    for step in steps:
                        await world.look_at_the_clock()
                        told.append(step.name)
                        said = await STEPS[step.name](world, Random(step.seed))
                        told[-1] = f"{step.name}: {said}"
                        await checks.after_step(world, Random(step.seed))
                    told.append("the end")
                    await checks.at_the_end(world, rng)
        except Wrong as error:
            return Failure(seed, str(error), steps[: len(told)], told)
        except Exception as error:  # noqa: BLE001 -- whatever it is, no part may raise it
            return Failure(seed, f"{type(error).__name__}: {error}", steps[: len(told)], told)
    return None


def chosen(data: Path, rng: Random, groups: set[str], truth: Truth) -> Settings:
    """Settings at their edges."""
    changes: dict[str, Any] = {
        "log_segment": 1 << 16,
        "batch_age": 0.01,
        "slice_rows": rng.choice([7, 50, 1000]),
        "raw_retention": rng.choice([FOREVER, 10.0 * DAY, 90.0 * DAY]) if "retention" in groups else FOREVER,
        "rollup_retention": rng.choice([FOREVER, 20.0 * DAY, 60.0 * DAY, 200.0 * DAY])
        if "retention" in groups
        else FOREVER,
        "recent_ids_window": truth.window,
        "log_retention": rng.choice([0.0, 7.0 * DAY]),
        "batch_rows": rng.choice([5, 50, 50_000]),
    }
    if rng.random() < 0.3:
        limit = rng.choice([64, 300])
        truth.ids = limit // 3
        changes["recent_ids"] = limit
    if "log" in groups and rng.random() < 0.5:
        changes |= {"log_max": 1 << 20, "overflow": rng.choice(["refuse", "drop_oldest"])}
        changes["batch_bytes"] = 1 << 16
    return Settings(data=data).model_copy(update=changes)  # some of them are refused outside of tests


@contextmanager
def eager(world: World) -> Generator[None]:
    """Parts that wait for little, and a program that can be broken for a while."""
    table = prepare.table

    def fail(columns: Any) -> Any:
        if world.broken and POISON in columns["page_url"]:
            raise ValueError("a value of the event")
        return table(columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "table", fail)
        patch.setattr(backoff, "_FIRST_PAUSE", 0.002)
        patch.setattr(backoff, "_LONGEST_PAUSE", 0.02)
        patch.setattr(loop, "_SECOND", 0.01)
        patch.setattr(loop, "_POLL", 0.005)
        patch.setattr(row_counts, "_REMEMBERED", 0.0)
        patch.setattr(intake, "_PATIENCE", 2.0)
        patch.setattr(compaction, "FAN_IN", 2)
        patch.setattr(reader, "open_reader", unreadable(world))
        yield


def cut(runner: asyncio.Runner, store: Any, failure: Failure, groups: set[str], tries: int = 60) -> Failure:
    """The same with fewer steps, as long as something goes wrong."""
    size = len(failure.steps) // 2
    while size and tries:
        at = 0
        while at < len(failure.steps) and tries:
            tries -= 1
            fewer = [*failure.steps[:at], *failure.steps[at + size :]]
            shorter = runner.run(take(store, failure.seed, groups, fewer))
            if shorter and shorter.problem[:8] == failure.problem[:8]:
                failure = shorter
            else:
                at += size
        size //= 2
    return failure


def _memory() -> Path | None:
    there = Path("/dev/shm")
    return there if there.is_dir() else None
