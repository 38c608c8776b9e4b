"""Whatever `check` lets through can be stored beside any neighbour, and comes back as it was."""

import json
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.errors import Invalid, TooLarge
from footfall.model import properties
from footfall.model.properties import MAX_DEPTH, MAX_NAME, MAX_NAMES, MAX_TEXT, check, is_address
from footfall.settings import Settings
from footfall.store.chdb.handles import open_handles
from footfall.store.migrate import migrate
from tests.contract.test_store import rows


def nested(levels, kind):
    value = 1
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


def test_ordinary_properties_pass_as_they_are():
    given_ = {
        "plan": "pro",
        "n": 3,
        "price": 9.5,
        "ok": True,
        "none": None,
        "tags": ["a", {"b": [1]}],
        "ü.😀": "\0",
    }
    assert json.loads(check(given_)) == given_
    assert check({}) == "{}"


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"": 1}, "properties"),
        ({"a": {"": 1}}, "properties.a"),
        ({"n": 2**64}, "properties.n"),
        ({"n": -(2**63) - 1}, "properties.n"),
        ({"a": [1, [2**70]]}, "properties.a"),
        ({"n": float("nan")}, "properties.n"),
        ({"a": {"n": float("-inf")}}, "properties.a.n"),
        ({"a": "\ud800"}, "properties"),
        ({"\ud800": 1}, "properties"),
        ({1: 1}, "properties"),
        ({"a": b"bytes"}, "properties.a"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(properties, field):
    for _ in range(2):  # the second time its names may be known
        with pytest.raises(Invalid) as refused:
            check(properties)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("fits", "too_much"),
    [
        ({"a": "x" * MAX_TEXT}, {"a": "x" * (MAX_TEXT + 1)}),
        ({"x" * MAX_NAME: 1}, {"x" * (MAX_NAME + 1): 1}),
        ({"x": nested(MAX_DEPTH - 1, list)}, {"x": nested(MAX_DEPTH, list)}),
        ({"x": nested(MAX_DEPTH - 1, dict)}, {"x": nested(MAX_DEPTH, dict)}),
        ({str(n): n for n in range(MAX_NAMES)}, {str(n): n for n in range(MAX_NAMES + 1)}),
        ({"a": [{"b": 1}] * (MAX_NAMES - 1)}, {"a": [{"b": 1}] * MAX_NAMES}),
    ],
)
def test_limits(fits, too_much):
    for _ in range(2):
        assert json.loads(check(fits)) == fits
        with pytest.raises(TooLarge):
            check(too_much)


ADDRESSES = (
    "ip IP Ip ips client_ip clientIp clientIP user-ip-address userIPAddress last_login_ip ip_addr IP.Address"
    " ipv4 user_ip_v4 ipV6 REMOTE_ADDR remoteAddr X-Forwarded-For x_forwarded_for forwarded X-Real-IP"
    " cf-connecting-ip True-Client-IP clientip remote_address source_ip ip_addresses"
)
NO_ADDRESSES = (
    "zip zip_code trip ship tip membership recipe ip_country skip_intro remote address email_address"
    " clip forward description equip"
)


def test_addresses_are_dropped_at_every_level_and_nothing_else_is():
    harmless = dict.fromkeys(NO_ADDRESSES.split(), "stays")
    for _ in range(2):
        for name in ADDRESSES.split():
            assert is_address(name), name
            given_ = {
                name: "203.0.113.9",
                "a": {name: "203.0.113.9", "l": [{name: ["203.0.113.9"]}]},
                **harmless,
            }
            assert json.loads(check(given_)) == {"a": {"l": [{}]}, **harmless}


def test_names_that_nobody_uses_twice_do_not_fill_the_memory():
    for n in range(30_000):
        check({f"name {n}": 1})
    assert len(properties._known) <= 10_000


# Beside a neighbour in the store


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from(
    ["a", "a.b", "b", ".", "a.", "size0", "null", "a/b", "\\", "`", "'", '"', "\0", "^a", ":`Int64`", "[]"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(
        ["2026-03-29", "2026-03-29 02:30:00", "2026-03-29T02:30:00Z", "12", "1e5", "true", "null"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(names, values, max_size=8)


@pytest.fixture(scope="module")
def engine():
    with TemporaryDirectory() as directory:
        handles = open_handles(Settings(), Path(directory))
        migrate(handles.commands)
        yield handles
        handles.close()


_seq = count()


def stored(engine, texts):
    """The properties as the store gives them back."""
    first = next(_seq)
    for _ in texts[1:]:
        last = next(_seq)
    engine.writer.insert(rows(len(texts), first=first, properties=texts), f"from-{first}")
    question = "SELECT properties FROM events WHERE seq BETWEEN {a:UInt64} AND {b:UInt64} ORDER BY seq"
    return [row[0] for row in engine.commands.rows(question, {"a": first, "b": last})]


@settings(deadline=None, max_examples=60)
@given(st.lists(documents, min_size=1, max_size=10))
def test_what_is_accepted_is_stored_beside_its_neighbours_and_read_back_equal(engine, sent):
    sent = [{name: value for name, value in each.items() if not is_address(name)} for each in sent]
    accepted = []
    for each in sent:
        try:
            accepted.append(check(each))
        except Invalid:
            continue
    texts = [*accepted, '{"neighbour":1}', ""]
    assert stored(engine, texts) == texts


def any_value(rng, levels):
    kind = rng.random() if levels else 0
    if kind < 0.35:
        return rng.choice([1, -5, 2**63 + 1, 2.5, True, "x", "2026-03-29"])
    if kind < 0.7:
        return [any_value(rng, levels - 1) for _ in range(rng.randrange(1, 4))]
    return {rng.choice("abcdefghijkl"): any_value(rng, levels - 1) for _ in range(rng.randrange(1, 4))}


def test_hostile_properties_survive_merges_into_wide_parts(engine):
    """Whatever is sent, the number of files of a part stays what it is for ordinary properties."""
    engine.commands.command("ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = 0")
    rng = Random(1)
    weird = ["a\nb", "../../x", "a/b", "`", "ü" * MAX_NAME, "\0", "a.null", "a.size0", "SharedVariant"]
    sent = [{name: 1, "a": [1], "b": {"c": name}} for name in weird]
    sent += [{f"k{batch}_{n}": "x" for n in range(MAX_NAMES)} for batch in range(10)]
    sent += [{"l": nested(MAX_DEPTH - 1, list), "d": nested(MAX_DEPTH - 1, dict), "n": list(range(10_000))}]
    mixed = [{rng.choice("abcdefghijkl"): any_value(rng, MAX_DEPTH - 2)} for _ in range(500)]
    texts = [check(each) for each in sent + mixed]
    for _ in range(3):
        assert stored(engine, texts) == texts
    engine.commands.command("OPTIMIZE TABLE events FINAL")
    [(kind, files)] = engine.commands.rows(
        "SELECT part_type, files FROM system.parts WHERE table = 'events' AND active"
    )
    assert kind == "Wide"
    assert files < 300
