"""A writer to be killed or to be hurt: appends numbered records and says what became of them.

    python log_writer.py DATA FIRST [COUNT]

appends the records FIRST, FIRST + 1, ... for ever, or COUNT of them and then closes the log. A line
on stdout is the number of a record whose append has returned, or with a `-` that was refused.
"""

import asyncio
import os
import random
import sys
from itertools import count
from pathlib import Path

from footfall.errors import LogFull
from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.settings import load

WAITERS = 16


def record(number: int) -> bytes:
    """The bytes of a record: 8 for its number, then 0 to 8,000 that follow from it."""
    chance = random.Random(number)
    return number.to_bytes(8, "big") + chance.randbytes(chance.randrange(8000))


async def main(data: Path, first: int, total: int | None = None) -> None:
    numbers = iter(range(first, first + total)) if total else count(first)
    try:
        log = await open_log(load(data=data, log_segment=1 << 17))
    except LogFull:
        return

    async def append() -> None:
        for number in numbers:
            try:
                await log.append(Entry("", record(number)))
                os.write(1, b"%d\n" % number)
            except LogFull:
                os.write(1, b"-%d\n" % number)
                await asyncio.sleep(0.3)

    await asyncio.gather(*(append() for _ in range(WAITERS)))
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
