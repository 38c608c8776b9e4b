"""Settings that are others at the next start, with work under way: records, plans, ids, visits, segments.

What an earlier run accepted under its settings is stored by the next ones under theirs.
"""

from tests.faults.harness.bench import Bench
from tests.faults.harness.installation import until
from tests.faults.harness.judge import judge

# Of each the ends of what is allowed, and what is usual.
CHANGES = {
    "log_segment": ("64KiB", "256MiB"),
    "log_max": ("1MiB", "64GiB"),
    "log_retention": ("1d", "forever"),
    "raw_retention": ("1d", "forever"),
    "rollup_retention": ("1d", "forever"),
    "session_timeout": ("1ms", "30m", "100d"),
    "session_memory": ("1000", "1000000"),
    "recent_ids": ("100000", "10000000"),
    "recent_ids_window": ("1h", "24h", "90d"),
    "store_memory": ("256MiB", "2GiB"),
    "batch_rows": ("1", "7", "50000"),
    "batch_bytes": ("64KiB", "64MiB"),
    "batch_age": ("1ms", "2s"),
    "query_rows": ("1", "0"),
    "query_timeout": ("1ms", "30s"),
    "query_memory": ("64MiB", "1GiB"),
    "slice_rows": ("1", "100", "1000000"),
    "max_events": ("20", "4096"),
    "max_event": ("1KiB", "64KiB"),
    "max_past": ("1s", "7d"),
    "max_future": ("0s", "5m"),
    "dead_letter_share": ("0.001", "1"),
    "redirect_mode": ("async", "durable"),
    "redirect_cap": ("1ms", "1s"),
    "click_memory": ("16MiB", "256MiB"),
    "cache_links": ("1", "100000"),
    "cache_memory": ("1MiB", "128MiB"),
    "newer_records": ("set_aside", "pause"),
}
DOORS = (0, 1, 2)  # beside the first one


def test_settings_of_the_next_run(install, check, library, repeats, chance):
    site = install()
    bench = Bench(site, library)
    known: list[int] = []
    for number in range(repeats):
        chosen = chance.sample(sorted(CHANGES), len(CHANGES) // 2)
        settings = {f"FOOTFALL_{name.upper()}": chance.choice(CHANGES[name]) for name in chosen}
        site.hand.phase(f"{number}-{'-'.join(f'{name}={value}' for name, value in settings.items())}")
        bench.freeze("worker")  # so that the next one finds something to do
        waiting = site.hand.tokens(200)
        for first in range(0, len(waiting), 20):
            part = waiting[first : first + 20]
            until(lambda part=part: site.hand.send(part, named=True) == 202, "it accepts")
        bench.end("worker")
        site.stop()
        bench.settings = settings
        for role in bench.processes:
            bench.start_again(role)
        more = [bench.start("door", port=port) for port in site.ports(chance.choice(DOORS))]
        bench.wait()
        oracle = site.oracle(doors=site.doors, events=500, clicks=20, seed=chance.randrange(1 << 30))
        # The same ids again, at other settings: within any of the windows.
        for again in (waiting[:20], known):
            until(lambda again=again: site.hand.send(again, named=True) == 202, "it accepts")
        known = waiting[-20:]
        oracle.sent(at_least=50)
        oracle.stop()
        for door in more:
            site.terminate(door)
    bench.settings = {}
    site.stop()
    for role in bench.processes:
        bench.start_again(role)
    bench.wait()
    check(judge("other settings at the next start", repeats, site))
