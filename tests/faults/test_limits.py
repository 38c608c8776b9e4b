"""What is exactly at a limit, one above it, and far beyond: requests, dead letters, ids, groups."""

import json

import pytest

from tests.faults.harness.bench import Bench
from tests.faults.harness.book import event_id
from tests.faults.harness.hand import http
from tests.faults.harness.installation import until
from tests.faults.harness.judge import judge
from tests.faults.test_upgrade import append, event, record

LETTERS = 20
MAX_EVENTS, MAX_BODY = 100, 256 << 10


def encoded(tokens, text="", size=0):
    """A request with these events; a text of their own, or as long as makes `size` bytes of the request."""
    events = [
        {
            "event_type": "oracle",
            "event_id": event_id(token),
            "page_url": f"https://site.example/page?n={token}",
            "properties": {"x": text},
        }
        for token in tokens
    ]
    body = json.dumps({"events": events}).encode()
    if left := max(size - len(body), 0):
        share, rest = divmod(left, len(events))
        for index, each in enumerate(events):
            each["properties"] = {"x": "x" * (share + (index < rest))}
        body = json.dumps({"events": events}).encode()
    return body


def test_requests_at_their_limits(install, check):
    """At the very limit it is accepted, and so stored; one event or byte more is refused, and not kept."""
    settings = {"max_events": MAX_EVENTS, "max_body": f"{MAX_BODY >> 10}KiB", "max_event": "4KiB"}
    site = install(settings=settings)
    site.serve()

    def submit(count, **more):
        tokens = site.hand.tokens(count)
        site.hand.announce(tokens)
        return site.hand.submit(tokens, encoded(tokens, **more), limits=True)

    stored = 0
    for count, size, fits in (
        (MAX_EVENTS, 0, True),
        (MAX_EVENTS + 1, 0, False),
        (MAX_EVENTS, MAX_BODY, True),
        (MAX_EVENTS, MAX_BODY + 1, False),
    ):
        status, taken = submit(count, size=size)
        assert (status == 202, len(taken)) == (fits, count if fits else 0), status
        stored += len(taken)
    # The largest event there may be, to the byte.
    fits, too_long = 0, 4 << 10
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        status, taken = submit(1, text="x" * middle)
        assert status == 202
        fits, too_long = (middle, too_long) if taken else (fits, middle)
        stored += len(taken)
    assert fits > 3 << 10
    for length in (1 << 10, 8 << 10, 60 << 10, 66 << 10, 1 << 20):
        status = site.hand.click(site.code, {"Referer": f"https://example.com/{'x' * length}"})
        assert status in {0, 302, 431}, status
        stored += status == 302
        assert status == 302 or length > 8 << 10
    site.drained()
    assert site.counted() == stored
    check(judge("requests at their limits", 1, site))


def test_dead_letters_at_their_limit_and_beyond(install, check, library, repeats, chance):
    """At the limit the worker waits before it plans; nothing is set aside without room, and nothing lost."""
    site = install(settings={"dead_letter_share": 1})
    bench = Bench(site, library, program="tests.faults.harness.keen", LETTERS=str(LETTERS))
    kept = 0
    for number in range(repeats):
        site.hand.phase(str(number))
        poison(site, LETTERS - kept)
        bench.drained()  # exactly at the limit it goes on
        assert letters(site) == LETTERS
        more, paused = chance.randint(1, 5), pauses(site)
        poison(site, more)
        assert site.hand.post() == 202
        until(lambda paused=paused: pauses(site) > paused, "it waits, and says why")
        if chance.random() < 0.5:
            bench.kill("worker")
            bench.wait()
        decide(site, "retry")  # in vain
        until(lambda: not due(site), "they were tried again")
        assert site.waiting(), "it waits still"
        assert letters(site) == LETTERS
        assert site.hand.post() == 202
        decide(site, "discard")
        bench.drained()
        kept = more
        assert letters(site) == kept
    check(judge("dead letters at their limit and beyond", repeats, site))


def pauses(site):
    """How often the worker said that it waits because of the letters."""
    return site.output.read_text().count("there are too many dead letters")


def poison(site, count):
    """One record of ten good events and so many that no table can take."""
    good, bad = site.hand.tokens(10), site.hand.tokens(count)
    site.hand.promise(*good)
    site.hand.risk(*bad)
    append(site, record([*map(event, good), *(event(token, device_hash=-1) for token in bad)]))


def listed(site):
    status, answer = http(site.console_port, "GET", f"/api/v1/dead-letters?limit={2 * LETTERS}")
    assert status == 200, answer
    return json.loads(answer)["data"]


def letters(site):
    """How many there are."""
    return len(listed(site))


def due(site):
    """Those that wait for a retry."""
    return [letter for letter in listed(site) if letter["status"] != "kept"]


def decide(site, what):
    """Retry or discard all."""
    for reason in {letter["reason"] for letter in listed(site)}:
        body = json.dumps({"reason": reason}).encode()
        status, answer = http(site.console_port, "POST", f"/api/v1/dead-letters/{what}", body)
        assert status in {200, 202}, answer


def test_ids_at_the_limit_of_the_index(install, check, library, rounds, chance):
    """The newest ids are known, as many as `recent_ids` says, after a kill, too."""
    limit = 100_000
    if rounds <= 20:
        pytest.skip("only in `make faults`")
    many = limit + 20_000
    site = install(settings={"recent_ids": limit, "max_events": 4096, "max_body": "4MiB"})
    bench = Bench(site, library)
    tokens = site.hand.tokens(many)
    parts = [tokens[first : first + 3000] for first in range(0, many, 3000)]
    for part in parts:
        until(lambda part=part: site.hand.send(part, named=True) == 202, "it accepts")
    for _ in range(max(1, rounds // 100)):
        bench.drained()
        bench.kill("worker")
        bench.wait()
        for part in parts[-(limit // 3000) :]:
            chance.shuffle(part)
            until(lambda part=part: site.hand.send(part, named=True) == 202, "it accepts")
    check(judge("ids at the limit of the index", many, site))


def test_groups_as_large_as_they_come(install, check, library, rounds, repeats, chance):
    """A slow disk makes groups of the log: many small requests, few large ones, thousands of clicks."""
    if rounds <= 20:
        pytest.skip("only in `make faults`")
    site = install()
    bench = Bench(site, library)
    shim = bench.shims["door"]
    shim.watch("/data/log/")
    for number in range(repeats):
        small = site.oracle(events=3000, batch=1, clicks=1500, connections=64, seed=chance.randrange(1 << 30))
        large = site.oracle(events=2000, batch=1000, clicks=0, connections=16, seed=chance.randrange(1 << 30))
        for oracle in (small, large):
            oracle.phase(str(number))
        shim.slow_fsync(1.5)
        small.sent(at_least=1000)
        shim.slow_fsync(0)
        small.sent(at_least=100)
        for oracle in (small, large):
            oracle.stop()
    check(judge("groups of the log as large as they come", repeats, site))
