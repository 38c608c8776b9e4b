"""Records of another version in the log, and records and events that cannot be processed."""

import asyncio
import time

import msgspec

from footfall.eventlog import open_log
from footfall.eventlog.port import Entry
from footfall.settings import load
from tests.faults.harness.installation import until
from tests.faults.harness.judge import judge

LOGGED_BY_VERSION_1 = 1  # the oldest format ever released


def event(token, /, **changed):
    """An event as the first release wrote it: the fields up to `page_url`, by position."""
    fields = {
        "event_id": token.to_bytes(16, "big"),
        "event_type": "oracle",
        "occurred_at": int(time.time() * 1000),
        "visit": 0,
        "site_id": "",
        "visitor_id": 5,
        "device_hash": 5,
        "page_url": f"https://site.example/page?n={token}",
        "referrer": "",
        "properties": "",
    }
    return list((fields | changed).values())


def record(events, version=LOGGED_BY_VERSION_1, more=()):
    """A record with its fields by position; later versions append `more`."""
    return msgspec.msgpack.encode(
        [version, int(time.time() * 1000), "default", "api", events, [["Mozilla/5.0"]], *more]
    )


def append(site, *records):
    """Put records into the log while no server runs."""

    async def run():
        log = await open_log(load(data=site.data), shard="claim")
        for data in records:
            await log.append(Entry("", data))
        await log.close()

    asyncio.run(run())


def test_an_upgrade_with_records_of_other_versions_in_the_log(install, check):
    site = install()
    older, without_properties, beside = (site.hand.tokens(20) for _ in range(3))
    site.hand.promise(*older, *without_properties, *beside)
    append(
        site,
        record([event(token) for token in older]),
        record([event(token)[:8] for token in without_properties]),
        record([[*event(1), "of the future"]], version=99, more=([], "key", {"unheard": "of"})),
        record([event(token) for token in beside]),
    )
    site.serve()
    until(lambda: "newer version" in site.output.read_text(), "the worker waits at the newer one")
    site.stop()
    site.serve(FOOTFALL_NEWER_RECORDS="set_aside")
    check(judge("records of older and newer versions in the log", 1, site))


def test_poison(install, check):
    """Records that are none, and single events among 10,000 that no step or table can take."""
    site = install()
    good = site.hand.tokens(10_000)
    bad = site.hand.tokens(3)
    site.hand.promise(*good)
    site.hand.risk(*bad)
    poison = [
        event(bad[0], visitor_id=-1),
        event(bad[1], device_hash=-1),
        event(bad[2], occurred_at=(1 << 64) - 1),
    ]
    records: list[bytes] = []
    for number in range(10):
        events = [event(token) for token in good[number * 1000 : number * 1000 + 1000]]
        if number < len(poison):
            events.insert(500, poison[number])
        records.append(record(events))
    append(site, b"", b"\xc1 no record", *records, msgspec.msgpack.encode([1, "no time", 7]))
    site.serve()
    check(judge("poison among 10,000 events", 1, site))
