"""From records to columns."""

import msgspec

from footfall.model.record import SEQ_PER_RECORD, RawEvent, Record, SenderContext
from footfall.worker.columnar import columns

DESK = SenderContext(
    user_agent="desk", language="de", country_code="DE", latitude=52.5, longitude=13.4, asn=7
)
PHONE = SenderContext(
    user_agent="phone", client_hints='"Chromium"|?1|"Android"', city="Pune", timezone="Asia/Kolkata"
)


def event(number: int, **fields: object) -> RawEvent:
    return RawEvent(event_id=number.to_bytes(16, "big"), event_type="click", occurred_at=number, **fields)


def test_every_event_becomes_one_entry_of_every_column_in_order():
    first = Record(1, 100, "acme", "api", [event(1), event(2, site_id="s")], [DESK])
    second = Record(1, 200, "other", "redirect", [event(3, short_code="x")], [PHONE])
    result = columns([(2**64 - 1, 5, first), (8, 0, second)])
    assert {len(values) for values in result.values()} == {3}
    assert result["occurred_at"] == [1, 2, 3]
    assert result["event_id"] == [number.to_bytes(16, "big") for number in (1, 2, 3)]
    assert result["site_id"] == ["", "s", ""]
    assert result["short_code"] == ["", "", "x"]
    assert result["received_at"] == [100, 100, 200]
    assert result["workspace_id"] == ["acme", "acme", "other"]
    assert result["source"] == ["api", "api", "redirect"]
    assert result["user_agent"] == ["desk", "desk", "phone"]
    assert result["latitude"] == [52.5, 52.5, None]


def test_position_is_shard_and_record_offset_times_4096_plus_index():
    record = Record(1, 100, "acme", "api", [event(1), event(2)], [DESK])
    result = columns([(2**64 - 1, 5, record), (8, 2**50, record)])
    assert result["shard"] == [2**64 - 1, 2**64 - 1, 8, 8]
    high = 2**50 * SEQ_PER_RECORD
    assert result["seq"] == [5 * 4096, 5 * 4096 + 1, high, high + 1]


def test_each_event_has_the_visit_it_names():
    record = Record(
        1, 100, "acme", "redirect", [event(1, visit=1), event(2, visit=0), event(3, visit=1)], [DESK, PHONE]
    )
    result = columns([(1, 0, record)])
    assert result["user_agent"] == ["phone", "desk", "phone"]
    assert result["country_code"] == ["", "DE", ""]
    assert result["asn"] == [0, 7, 0]


def test_nothing_that_the_door_recorded_is_left_out():
    # Except: the index of the visit, and whether the id was the client's.
    fields = {
        *RawEvent.__struct_fields__,
        *SenderContext.__struct_fields__,
        "received_at",
        "workspace_id",
        "source",
    }
    assert set(columns([])) == (fields - {"visit"}) | {"shard", "seq"}


def test_a_record_of_an_older_version_has_defaults_for_what_it_lacks():
    old = msgspec.convert([1, 100, "acme", "api", [[b"i" * 16, "click", 9]], [["ua"]]], Record)
    result = columns([(1, 0, old)])
    assert (result["sample_weight"], result["event_version"], result["asn"]) == ([1.0], [1], [0])
    assert result["previous_device"] == [0]


def test_a_record_without_events_adds_nothing():
    assert {len(v) for v in columns([(1, 0, Record(1, 5, "acme", "api", [], []))]).values()} == {0}
