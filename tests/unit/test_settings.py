"""What is written has its unit; what is wrong is refused by name; a slip deletes nothing."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall.errors import Misconfigured
from footfall.settings import load
from footfall.units import FOREVER, parse_size, parse_time, spell_size, spell_time

TIMES = (
    "redirect_cap", "max_past", "max_future", "log_retention", "batch_age", "session_timeout",
    "recent_ids_window", "query_timeout", "raw_retention", "rollup_retention", "alert_oldest_age",
)  # fmt: skip
SIZES = (
    "max_body", "max_inflated", "max_event", "log_segment", "log_max", "store_memory", "batch_bytes",
    "query_memory", "alert_disk_free",
)  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["file", "variable"])
def written(request, elsewhere, monkeypatch):
    """Load the settings with one of them written as it is given, where a person would."""

    def write(name, text):
        if request.param == "variable":
            monkeypatch.setenv(f"FOOTFALL_{name.upper()}", text.strip('"'))
        else:
            (elsewhere / "footfall.toml").write_text(f"{name} = {text}\n")
        return load()

    return write


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("raw_retention", '"90d"', 90 * 86400),
        ("raw_retention", '"12w"', 84 * 86400),
        ("raw_retention", '"2160h"', 90 * 86400),
        ("raw_retention", '"3y"', 3 * 365 * 86400),
        ("raw_retention", '"forever"', math.inf),
        ("rollup_retention", '"730 d"', 730 * 86400),
        ("redirect_cap", '"25ms"', 0.025),
        ("query_timeout", '"1.5m"', 90),
        ("alert_oldest_age", '"0"', 0),
        ("log_max", '"64GiB"', 64 << 30),
        ("log_max", '"1.5 GB"', 1_500_000_000),
        ("max_body", '"65536B"', 65536),
    ],
)
def test_a_value_with_its_unit_is_taken(written, name, text, value):
    assert getattr(written(name, text), name) == value


@pytest.mark.parametrize("name", [*TIMES, *SIZES])
@pytest.mark.parametrize("text", ["365", "1.5", "-1"])
def test_a_number_without_a_unit_is_refused_with_three_ways_to_write_it(written, name, text):
    with pytest.raises(Misconfigured, match=rf'{name} = {text}: write "\w+", "\w+" or "\w+"$'):
        written(name, text)


def test_days_are_shown_for_what_is_kept(written):
    with pytest.raises(Misconfigured, match='raw_retention = 90: write "90d", "12w" or "2160h"'):
        written("raw_retention", "90")


@pytest.mark.parametrize("name", ["raw_retention", "rollup_retention", "log_retention"])
@pytest.mark.parametrize("text", ["0", '"0"', '"0d"', '"90m"', '"365s"', '"23.9h"'])
def test_what_would_delete_the_events_of_today_is_refused_unless_it_is_meant(written, name, text):
    with pytest.raises(Misconfigured, match=f"{name} = .*forever"):
        written(name, text)


def test_what_is_meant_is_taken(written, monkeypatch):
    monkeypatch.setenv("FOOTFALL_SHORT_RETENTION", "true")
    assert written("raw_retention", '"30s"').raw_retention == 30


@pytest.mark.parametrize("name", [*TIMES, *SIZES])
@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", '"-3d"', '"9000000000y"', '"64XB"', '"1e9d"', '""" """', "true", "[1]"]
)
def test_nonsense_is_refused_by_name(written, name, text):
    with pytest.raises(Misconfigured, match=f"^wrong settings:\n  {name}"):
        written(name, text)


@pytest.mark.parametrize("name", TIMES)
def test_only_what_is_kept_may_be_for_ever(written, name):
    if name.endswith("_retention"):
        assert getattr(written(name, '"forever"'), name) == FOREVER
    else:
        with pytest.raises(Misconfigured, match=name):
            written(name, '"forever"')


def test_every_wrong_setting_has_one_line_in_plain_words(elsewhere):
    (elsewhere / "footfall.toml").write_text(
        'prot = 1\nraw_retention = 365\ntrusted_proxies = ["300.0.0.1", "x"]\noverflow = "perhaps"\n'
        'admin_key = ["secret"]\nlog_segment = "1B"\n'
    )
    with pytest.raises(Misconfigured) as caught:
        load(port=99999)
    first, *lines = str(caught.value).splitlines()
    assert first == "wrong settings:"
    assert sorted(line.split()[0].strip(":") for line in lines) == [
        "admin_key", "log_segment", "overflow", "port", "prot", "raw_retention", "trusted_proxies",
    ]  # fmt: skip
    assert "did you mean port?" in str(caught.value)
    for inside in ("lax", "function-", "secret", "Value error"):
        assert inside not in str(caught.value)


def test_a_file_that_is_no_toml_is_named_with_the_line(elsewhere):
    (elsewhere / "footfall.toml").write_text('port = 8000\nraw_retention = "90d\n')
    with pytest.raises(Misconfigured, match=r"footfall\.toml.*line 2"):
        load()


@pytest.mark.parametrize(
    ("content", "line"), [(b"port = 1\nport = 2\n", 2), (b"host = '\xff'\n", 1), (b"port = 1\nhost: x\n", 2)]
)
def test_whatever_the_file_is_not_the_line_is_told(elsewhere, content, line):
    (elsewhere / "footfall.toml").write_bytes(content)
    with pytest.raises(Misconfigured, match=rf"footfall\.toml cannot be read: .*line {line}"):
        load()


@pytest.mark.parametrize("what", ["directory", "link to nothing"])
def test_a_file_that_cannot_be_opened_is_not_passed_over(elsewhere, what):
    path = elsewhere / "footfall.toml"
    path.mkdir() if what == "directory" else path.symlink_to("gone.toml")
    with pytest.raises(Misconfigured, match=r"footfall\.toml cannot be read: it is not a file"):
        load()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FOOTFALL_PROT", "FOOTFALL_PORT"),
        ("footfall_prot", "FOOTFALL_PORT"),
        ("FOOTFALL_RAW_RETENTON", "FOOTFALL_RAW_RETENTION"),
        ("FOOTFALL_RAW_DAYS", "FOOTFALL_RAW_RETENTION"),
        ("FOOTFALL_ADMINKEY", "FOOTFALL_ADMIN_KEY"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest(monkeypatch, variable, meant):
    monkeypatch.setenv(variable, "secret")
    with pytest.raises(Misconfigured) as caught:
        load(port=99999)
    assert f"\n  {variable}: there is no such setting; did you mean {meant}?" in str(caught.value)
    assert "\n  port = 99999: write a whole number from 0 to 65,535" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_variable_far_from_any_setting_is_refused_too(monkeypatch):
    monkeypatch.setenv("FOOTFALL_XYZZY", "1")
    with pytest.raises(Misconfigured, match=r"FOOTFALL_XYZZY: there is no such setting$"):
        load()


def test_what_commands_read_and_what_is_not_ours_is_no_setting(monkeypatch):
    for name in ("FOOTFALL_KEY", "FOOTFALLS", "MY_FOOTFALL_PROT", "FOOTFALL"):
        monkeypatch.setenv(name, "1")
    load()


def test_an_unknown_name_of_the_file_has_its_line(elsewhere):
    (elsewhere / "footfall.toml").write_text("# prot\nport = 1\n\nraw-retention = '3y'\n[server]\nport = 2\n")
    with pytest.raises(Misconfigured) as caught:
        load()
    assert str(caught.value).splitlines()[1:] == [
        "  raw-retention: there is no such setting (footfall.toml, line 4); did you mean raw_retention?",
        "  server: there is no such setting (footfall.toml, line 5); settings stand in no table",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('port = "x"', "write a whole number from 0 to 65,535"),
        ("port = 1.5", "write a whole number from 0 to 65,535"),
        ("connections = 0", "write a whole number from 16"),
        ("dead_letter_share = 5", "write a number above 0 and at most 1"),
        ('short_retention = "maybe"', "write true or false"),
        ('log_level = "INFO"', 'write "debug", "info", "warning" or "error"'),
        ("data = [1]", "write a path"),
        ("host = true", "write a text"),
        ('public_url = "go.example.com"', "write a whole address, as in https://go.example.com"),
        ('console_url = "https://"', "write a whole address, as in https://go.example.com"),
    ],
)
def test_what_may_be_written_is_said_in_plain_words(elsewhere, line, words):
    (elsewhere / "footfall.toml").write_text(line)
    with pytest.raises(Misconfigured, match=rf"^wrong settings:\n  {line.split()[0]} = .*: {words}$"):
        load()


@pytest.mark.parametrize("value", [math.nan, -1.0, 1e18, 3600.0])
def test_python_is_held_to_the_same_bounds(value):
    with pytest.raises(Misconfigured, match="raw_retention"):
        load(raw_retention=value)


@given(st.floats(min_value=0.001, max_value=1e9))
@example(1000.94)
def test_a_time_is_spelled_as_it_is_read(seconds):
    assert parse_time(spell_time(seconds)) == pytest.approx(seconds, rel=1e-4)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_size_is_spelled_as_it_is_read(size):
    assert parse_size(spell_size(size)) == size
