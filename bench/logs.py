"""Every log side by side: appends by 64 that wait for their answer, then all is read back.

    python -m bench logs

Alone: no door, no worker; one server of each kind on this machine. A run that lost a record has no result.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench.log import closed_loop, drain
from footfall.eventlog import open_log
from footfall.settings import Settings, load
from tests.servers.kafka import kafka
from tests.servers.postgres import postgres

_SECONDS = 5.0
_WAITERS = 64
_SIZE = 4096


async def _measure(name: str, settings: Settings) -> tuple[str, float]:
    log = await open_log(settings)
    try:
        appended = await closed_loop(log, name, _SECONDS, _WAITERS, _SIZE, 0)
        read, _, _ = await drain(log, _SIZE)
        assert read["count"] == appended["count"], "records are missing: no result"
    finally:
        await log.close()
    words = (
        f"{appended['per_second']:,}/s, p50 {appended['p50_ms']} ms, p99 {appended['p99_ms']} ms, "
        f"{appended['cpu_us']} us of our CPU each; read {read['per_second']:,}/s"
    )
    return words, float(appended["per_second"])


def run() -> dict[str, object]:
    """The figures for `python -m bench`."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database, broker = stack.enter_context(postgres()), stack.enter_context(kafka())
        places = {
            "sqlite": {},
            "postgres": {"log_database": database.database()},
            "kafka": {"kafka_brokers": broker.brokers, "kafka_partitions": 1},
        }
        found: dict[str, object] = {}
        baseline = 0.0
        for name, place in places.items():
            words, rate = uvloop.run(_measure(name, load(data=data / name, log=name, **place)))
            baseline = baseline or rate
            found[name] = f"{words}; {rate / baseline:.2f} of sqlite"
        return found
