"""The recent-id index: what it takes for a duplicate, how long it remembers, how it comes back from disk."""

import os
import threading
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from footfall.model.ids import uuid7
from footfall.model.record import RawEvent
from footfall.worker.dedup import checkpoint
from footfall.worker.dedup.checkpoint import load, save
from footfall.worker.dedup.index import PARTITIONS, RecentIds, SeenIds
from footfall.worker.dedup.keys import Ids, Keys, payload_digests
from footfall.worker.dedup.sorted_run import ID_BYTES, sort

DAY = 86_400
NOW = 1_763_700_000.0


def ages() -> Callable[[], float]:
    """An uptime in which a day passes at each look: nothing is remembered because time was too short."""
    return count(step=DAY).__next__


def number(value: int) -> bytes:
    return value.to_bytes(16, "big")


def ids_of(index: RecentIds, *event_ids: bytes, workspace: str = "acme", digest: int = 0) -> Ids:
    return index.identify([workspace] * len(event_ids), event_ids, [digest] * len(event_ids))


def enter(index: RecentIds, *event_ids: bytes, at: float = NOW, workspace: str = "acme") -> None:
    index.enter(sort(ids_of(index, *event_ids, workspace=workspace)), at)


def seen(index: RecentIds, *event_ids: bytes, workspace: str = "acme") -> list[bool]:
    return index.check(ids_of(index, *event_ids, workspace=workspace)).duplicate.tolist()


def check(index: RecentIds, payloads: list[tuple[int, int]]) -> list[str]:
    """The verdict on (id, digest of the payload) pairs: fresh, again, or other."""
    verdict = index.check(
        index.identify(
            ["acme"] * len(payloads), [number(id_) for id_, _ in payloads], [digest for _, digest in payloads]
        )
    )
    assert not (verdict.conflict & ~verdict.duplicate).any()
    return [
        ("other" if conflict else "again") if duplicate else "fresh"
        for duplicate, conflict in zip(*map(list, verdict), strict=True)
    ]


def test_an_id_counts_as_seen_only_once_it_was_entered():
    index = RecentIds()
    assert seen(index, number(1)) == [False]
    assert seen(index, number(1)) == [False]
    enter(index, number(1))
    assert seen(index, number(2), number(1), number(0)) == [False, True, False]
    assert len(index) == 1


def test_an_id_of_a_batch_that_is_planned_and_not_closed_is_a_duplicate():
    index = RecentIds()
    first, second = (
        sort(ids_of(index, number(at), number(at + 1), digest=at), np.array([True, False])) for at in (1, 5)
    )
    verdict = index.check(ids_of(index, *map(number, range(7)), digest=5), [first, second])
    assert verdict.duplicate.tolist() == [False, True, False, False, False, True, False]
    assert verdict.conflict.tolist() == [False, True, False, False, False, False, False]
    assert len(index) == 0


def test_of_a_batch_the_first_one_counts_and_another_payload_is_flagged():
    index = RecentIds()
    batch = [(1, 0), (2, 0), (1, 0), (1, 7), (3, 7), (2, 1), (2, 0)]
    assert check(index, batch) == ["fresh", "fresh", "again", "other", "fresh", "other", "again"]


def test_the_payload_that_was_counted_is_the_one_to_be_compared_with():
    index = RecentIds()
    index.enter(sort(index.identify(["acme"], [number(1)], [500])), NOW)
    assert check(index, [(1, 501), (1, 501), (1, 500), (1, 501)]) == ["other", "other", "again", "other"]


def test_the_same_id_in_two_workspaces_is_two_ids():
    index = RecentIds()
    event_ids = [number(value) for value in range(500)]
    enter(index, *event_ids, workspace="acme")
    assert not any(seen(index, *event_ids, workspace="other"))
    assert all(seen(index, *event_ids, workspace="acme"))
    mixed = index.identify(
        ["acme", "other"] * 500, [each for each in event_ids for _ in range(2)], [0] * 1000
    )
    assert index.check(mixed).duplicate.tolist() == [True, False] * 500


def test_an_empty_batch_is_fine():
    index = RecentIds()
    assert [len(mask) for mask in index.check(ids_of(index), [sort(ids_of(index))])] == [0, 0]
    index.enter(sort(ids_of(index)), NOW)
    index.expire(NOW)
    assert len(index) == 0


@pytest.mark.parametrize(
    "event_ids",
    [
        [uuid7(1_763_700_000_000 + value // 100) for value in range(40_000)],
        [number(value) for value in range(40_000)],
        [number(value << 112) for value in range(40_000)],
        [number(value << 64 | value) for value in range(40_000)],
        [number(value * (1 << 64 | 1) << 24 & (1 << 128) - 1) for value in range(40_000)],
    ],
    ids=["uuid7", "low", "high", "both", "shifted"],
)
def test_ids_that_follow_each_other_spread_like_any_others(event_ids: list[bytes]):
    keys = Keys()
    workspaces = [f"ws_{value % 4}" for value in range(len(event_ids))]
    key, rest = keys.identify(workspaces, event_ids, [0] * len(event_ids))
    # 40,000 random numbers of 32 bits: 0.19 pairs that meet. Each 32 bits of the key have to be as good.
    for bits in (
        key >> 32,
        key & 0xFFFF_FFFF,
        (key >> 48 << 16) | (rest >> 16),
        (key << 48 >> 32) | (rest >> 16),
    ):
        assert len(event_ids) - len(np.unique(bits)) < 10
    of_partition = np.bincount((key >> 58).astype(int), minlength=PARTITIONS)
    assert 450 < of_partition.min() <= of_partition.max() < 800


def test_ids_that_are_all_equal_are_one_id():
    index = RecentIds(limit=1000)
    for value in (0, 2**128 - 1):
        verdict = index.check(ids_of(index, *[number(value)] * 5000))
        assert verdict.duplicate.tolist() == [False] + [True] * 4999
        assert not verdict.conflict.any()
        enter(index, number(value))
        assert all(seen(index, *[number(value)] * 5000))
    assert len(index) == 2


def test_two_installations_have_keys_of_their_own():
    one, other = RecentIds(), RecentIds()
    assert ids_of(one, number(1)).key != ids_of(other, number(1)).key


def test_beyond_the_limit_the_oldest_are_forgotten():
    index = RecentIds(limit=1000)
    for batch in range(30):
        enter(index, *[number(value) for value in range(batch * 100, batch * 100 + 100)], at=NOW + batch)
    assert len(index) == 1000
    assert seen(index, *[number(value) for value in range(3000)]) == [False] * 2000 + [True] * 1000


def test_a_batch_larger_than_the_limit_is_remembered_whole():
    index = RecentIds(limit=10)
    enter(index, *[number(value) for value in range(25)])
    assert all(seen(index, *[number(value) for value in range(25)]))
    enter(index, number(100))
    assert seen(index, number(1), number(100)) == [False, True]


def test_after_the_window_an_id_is_forgotten():
    index = RecentIds(limit=50, window=DAY, uptime=ages())
    enter(index, number(1), at=NOW)
    enter(index, number(2), at=NOW + 1000)
    for _ in range(3):
        index.expire(NOW + DAY)
    assert seen(index, number(1), number(2)) == [True, True]
    index.expire(NOW + DAY + 1)
    assert seen(index, number(1), number(2)) == [False, True]
    assert len(index) == 1


def test_a_clock_that_jumps_ahead_does_not_empty_the_index():
    uptime = 0.0
    index = RecentIds(limit=96, window=DAY, uptime=lambda: uptime)
    for value in range(20):
        enter(index, number(value), at=NOW + 1000 * value)
    for _ in range(300):  # five minutes
        uptime += 1
        index.expire(NOW + 10 * DAY)
    index.expire(NOW + 20_000)
    assert all(seen(index, *map(number, range(20))))
    for _ in range(300):  # five hours: now the clock is believed
        uptime += 60
        index.expire(NOW + 10 * DAY)
    assert len(index) == 0


@pytest.mark.parametrize("limit", [50, 1_000_000])
def test_what_was_received_earlier_than_the_last_is_remembered_at_least_as_long_as_it_should_be(limit: int):
    index = RecentIds(limit=limit, window=DAY, uptime=ages())
    enter(index, number(1), at=NOW)
    enter(index, number(2), at=NOW - 2 * DAY)  # of a shard that lags behind
    for _ in range(3):
        index.expire(NOW + DAY)
    assert seen(index, number(1), number(2)) == [True, True]


def test_an_id_entered_again_after_it_was_forgotten_is_remembered():
    index = RecentIds(limit=3)
    for value in (1, 2, 3, 4, 1, 5, 1):
        if not seen(index, number(value))[0]:
            enter(index, number(value))
    assert seen(index, *map(number, range(6))) == [False, True, False, False, True, True]


def test_the_effective_window_is_what_the_limit_leaves_of_the_window():
    index = RecentIds(limit=10, window=DAY)
    assert index.effective_window(NOW) == DAY
    for value in range(30):
        enter(index, number(value), at=NOW + value)
    index.expire(NOW + 30)
    assert index.effective_window(NOW + 30) == 11  # the newest that was forgotten came at NOW + 19
    assert index.effective_window(NOW + 3 * DAY) == DAY
    index.complete_since = NOW + 40
    assert index.effective_window(NOW + 30) == 0


def test_many_more_generations_than_there_are_numbers():
    index = RecentIds(limit=5)
    for value in range(1500):
        enter(index, number(value), at=NOW + value)
        assert sum(seen(index, *[number(each) for each in range(value - 6, value + 2) if each >= 0])) == min(
            value + 1, 5
        )


def test_numbers_run_out_just_when_everything_is_forgotten():
    index = RecentIds(limit=5, window=DAY, uptime=ages())
    for value in range(600):
        now = NOW + 2 * DAY * value
        enter(index, number(value), at=now)
        assert seen(index, number(value - 1) if value else number(10**6), number(value)) == [False, True]
        index.expire(now + DAY + 1)
        assert seen(index, number(value)) == [False]


def test_years_in_which_nothing_expires_end_at_the_most_generations():
    index = RecentIds(limit=100_000, window=96)
    for value in range(1000):
        enter(index, number(value), at=NOW + 2 * value)
    assert 200 < len(index) < 256
    assert seen(index, number(999), number(800), number(700)) == [True, True, False]
    assert index.effective_window(NOW + 2000) == 96


def test_room_for_forgotten_ids_stays_small():
    index = RecentIds(limit=64_000, window=DAY, uptime=ages())
    for batch in range(60):
        enter(index, *[os.urandom(16) for _ in range(4000)], at=NOW + batch)
        held = sum(run.size for partition in index.snapshot({}).partitions for run in partition)
        assert held <= 64_000 * 1.1 + 4000
    for _ in range(100):
        index.expire(NOW + 2 * DAY)
    assert len(index) == 0
    assert sum(run.size for partition in index.snapshot({}).partitions for run in partition) <= 64_000 // 8


def test_ids_are_seen_while_others_are_entered():
    index = RecentIds(limit=20_000)
    known = ids_of(index, *[os.urandom(16) for _ in range(5000)])
    index.enter(sort(known), NOW)
    stop = threading.Event()

    def enter_others() -> None:
        while not stop.is_set():
            enter(index, *[os.urandom(16) for _ in range(200)])
            index.enter(sort(known), NOW)  # again and again, so that they never are the oldest

    thread = threading.Thread(target=enter_others)
    thread.start()
    try:
        for _ in range(100):
            assert index.check(known).duplicate.all()
    finally:
        stop.set()
        thread.join()


def event(**fields: object) -> RawEvent:
    return RawEvent(**{"event_id": number(1), "event_type": "click", "occurred_at": 1} | fields)


def test_a_resend_has_the_payload_of_the_first_and_another_event_has_not():
    first, resend = event(properties='{"a":1}'), event(properties='{"a":1}', occurred_at=2, device_hash=9)
    others = [
        event(),
        event(properties='{"a":2}'),
        event(properties='{"a":1}', event_type="view"),
        event(properties='{"a":1}', page_url="https://example.com/"),
        event(properties='{"a":1}', referrer="https://example.com/"),
        event(properties='{"a":1}', short_code="x"),
        event(properties='{"a":1}', site_id="x"),
    ]
    digests = payload_digests([first, resend, *others])
    assert digests[0] == digests[1]
    assert len({*digests}) == len(others) + 1
    assert all(0 <= digest < 1 << 16 for digest in digests)


# The checkpoint


def filled(limit: int = 3000) -> RecentIds:
    index = RecentIds(limit=limit)
    for batch in range(20):
        enter(index, *[number(value) for value in range(batch * 200, batch * 200 + 200)], at=NOW + batch)
    return index


def test_a_checkpoint_brings_everything_back(tmp_path: Path):
    index = filled()
    index.enter(sort(index.identify(["acme"], [number(9000)], [77])), NOW + 50)
    save(tmp_path / "ids", [index.snapshot({2**64 - 1: 2**50, 7: -1})])
    (snapshot,) = load(tmp_path / "ids") or ()
    assert snapshot.positions == {2**64 - 1: 2**50, 7: -1}
    restored = RecentIds(limit=3000)
    enter(restored, number(123_456))
    restored.restore(snapshot)
    everything = [number(value) for value in range(4100)]
    assert seen(restored, *everything) == seen(index, *everything)
    assert check(restored, [(9000, 77), (9000, 78)]) == ["again", "other"]
    assert seen(restored, number(123_456)) == [False]
    assert len(restored) == len(index)
    assert restored.effective_window(NOW + 100) == index.effective_window(NOW + 100) < DAY
    for batch in range(20):  # and it goes on
        enter(restored, *[number(value) for value in range(5000 + batch * 200, 5200 + batch * 200)], at=NOW)
    assert sum(seen(restored, *[number(value) for value in range(5000, 9000)])) == 3000


def test_a_lower_limit_holds_at_once(tmp_path: Path):
    save(tmp_path / "ids", [filled().snapshot({})])
    (snapshot,) = load(tmp_path / "ids") or ()
    index = RecentIds(limit=500)
    index.restore(snapshot)
    assert len(index) <= 500
    assert seen(index, number(3999), number(3400)) == [True, False]


def test_what_is_entered_after_the_snapshot_is_not_in_the_checkpoint(tmp_path: Path):
    index = filled(limit=100_000)
    snapshot = index.snapshot({1: 1})
    for batch in range(40):
        enter(index, *[number(value) for value in range(10_000 + batch * 500, 10_500 + batch * 500)])
    save(tmp_path / "ids", [snapshot])
    (loaded,) = load(tmp_path / "ids") or ()
    restored = RecentIds(limit=100_000)
    restored.restore(loaded)
    assert len(restored) == 4000
    assert not any(seen(restored, *[number(value) for value in range(10_000, 30_000, 50)]))


def test_there_is_no_checkpoint_at_first(tmp_path: Path):
    with capture_logs() as logs:
        assert load(tmp_path / "ids") is None
    assert not logs


def test_a_damaged_checkpoint_counts_as_absent_and_is_reported(tmp_path: Path):
    path = tmp_path / "ids"
    save(path, [filled(limit=300).snapshot({5: 6})])
    good = path.read_bytes()
    assert len(good) > 200 * ID_BYTES
    cuts = [good[:length] for length in (0, 1, 19, 20, 21, 300, len(good) - 5, len(good) - 1)]
    flips = [
        good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :]
        for at in {*range(30), *range(30, len(good), 97), len(good) - 1}
    ]
    for bad in [*cuts, *flips, good + b"x", os.urandom(len(good)), bytes(len(good))]:
        path.write_bytes(bad)
        with capture_logs() as logs:
            assert load(path) is None
        assert [each["log_level"] for each in logs] == ["warning"]
    path.write_bytes(good)
    assert load(path)


def test_a_head_that_is_whole_and_wrong_counts_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint, "_Head", lambda *values: list(values)[:-1])
    save(tmp_path / "ids", [filled().snapshot({})])
    monkeypatch.undo()
    assert load(tmp_path / "ids") is None


def test_a_checkpoint_of_a_newer_program_counts_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as newer:
        newer.setattr(checkpoint, "FORMAT_VERSION", 3)
        save(tmp_path / "ids", [filled().snapshot({})])
    with capture_logs() as logs:
        assert load(tmp_path / "ids") is None
    assert "format is 3" in logs[0]["problem"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    index = filled()
    save(tmp_path / "ids", [index.snapshot({1: 1})])

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path / "ids", [index.snapshot({1: 2})])
    (loaded,) = load(tmp_path / "ids") or ()
    assert loaded.positions == {1: 1}
    assert [path.name for path in tmp_path.iterdir()] == ["ids"]


def test_the_checkpoint_holds_no_id_as_it_was_sent(tmp_path: Path):
    index = RecentIds()
    sent = [os.urandom(16) for _ in range(100)]
    enter(index, *sent)
    save(tmp_path / "ids", [index.snapshot({})])
    data = (tmp_path / "ids").read_bytes()
    assert not any(each[:8] in data or each[8:] in data for each in sent)
    assert (tmp_path / "ids").stat().st_mode & 0o777 == 0o600


def test_runs_are_sorted_and_verdicts_in_the_order_of_the_batch():
    index = RecentIds()
    event_ids = [os.urandom(16) for _ in range(1000)]
    run = sort(ids_of(index, *event_ids))
    assert all(one <= other for one, other in pairwise(run.key.tolist()))
    index.enter(run.part(0, 500), NOW)
    verdict = index.check(ids_of(index, *event_ids))
    assert isinstance(verdict, SeenIds)
    known = {*run.key[:500].tolist()}
    assert verdict.duplicate.tolist() == [key in known for key in ids_of(index, *event_ids).key.tolist()]


def test_ids_and_workspaces_must_match():
    index = RecentIds()
    with pytest.raises(ValueError, match="one workspace"):
        index.identify(["acme"], [number(1), number(2)], [0, 0])
    with pytest.raises(ValueError, match="16 bytes"):
        index.identify(["acme"], [b"short"], [0])


def test_the_head_is_messagepack_so_that_it_can_be_read_by_hand(tmp_path: Path):
    save(tmp_path / "ids", [filled().snapshot({3: 4})])
    data = (tmp_path / "ids").read_bytes()
    length = int.from_bytes(data[12:16], "little")
    assert msgspec.msgpack.decode(data[20 : 20 + length])[0] == {3: 4}
