"""`python -m tests.faults.chance`: see the package."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from footfall.cli.terminal import say
from tests.contract.installation import one_store
from tests.faults.chance.run import cut, draw, take


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chance", description=__doc__)
    parser.add_argument("--seeds", default="", help="a seed, or from-to")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--first", type=int, default=1, help="the first seed, with --minutes")
    parser.add_argument("--groups", default="", help="only these, as in letters+held")
    parser.add_argument("--tell", action="store_true", help="also what went well")
    parser.add_argument("--cut", action="store_true", help="look for the fewest steps")
    parser.add_argument("--stop", action="store_true", help="at the first failure")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    failed = done = 0
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as directory:
        opened = one_store(Path(directory))
        store = runner.run(opened.__aenter__())
        began = time.monotonic()
        for seed in _seeds(given.seeds, given.minutes, given.first):
            groups, steps = draw(seed, only=given.groups)
            start = time.monotonic()
            failure = runner.run(take(store, seed, groups, steps))
            done += 1
            if given.tell and not failure:
                say(f"seed {seed}, {'+'.join(sorted(groups))}: {len(steps)} steps, well")
            if failure and given.cut:
                failure = cut(runner, store, failure, groups)
            if failure:
                failed += 1
                say(f"[{'+'.join(sorted(groups))}] after {time.monotonic() - start:.1f} s\n{failure}\n")
                if given.stop:
                    break
        say(f"{done} seeds in {time.monotonic() - began:.0f} s, {failed} went wrong")
        runner.run(opened.__aexit__(None, None, None))
    return 1 if failed else 0


def _seeds(text: str, minutes: float, first: int) -> Iterator[int]:
    if text:
        start, _, end = text.partition("-")
        yield from range(int(start), int(end or start) + 1)
    until = time.monotonic() + 60 * minutes
    seed = first
    while minutes and time.monotonic() < until:
        yield seed
        seed += 1


if __name__ == "__main__":
    sys.exit(main())
