"""Text of exports: whatever a cell holds, it reads back, and no spreadsheet runs it."""

import csv
import io
import json
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.query.export.text import csv_header, csv_rows, json_rows

UTC = ZoneInfo("UTC")
RUN_AS_FORMULAS = "=+-@\t\r\n"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
NASTY = st.builds(str.__add__, st.sampled_from([*RUN_AS_FORMULAS, "'", '"', ","]), TEXT)
CELLS = st.lists(st.none() | TEXT | NASTY, max_size=8)


def table_of(cells, kind=None):
    numbers = pa.array(range(-5, len(cells) - 5), pa.int64())
    text = pa.array(cells, pa.string())
    if kind:
        text = text.dictionary_encode()
    return pa.table({"number": numbers, "text": text})


def read_csv(data):
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@settings(deadline=None)  # the first call of pyarrow's functions takes seconds
@given(CELLS, st.booleans())
def test_csv_reads_back_and_formulas_have_an_apostrophe_in_front(cells, repeating):
    table = table_of(cells, repeating)
    lines = read_csv(csv_header(table.schema) + csv_rows(table, UTC))
    shown = [f"'{cell}" if cell and cell[0] in RUN_AS_FORMULAS else cell or "" for cell in cells]
    assert lines == [["number", "text"], *([str(n - 5), cell] for n, cell in enumerate(shown))]


@settings(deadline=None)  # the first call of pyarrow's functions takes seconds
@given(CELLS, st.booleans())
def test_ndjson_reads_back_as_it_was(cells, repeating):
    data = json_rows(table_of(cells, repeating), UTC).decode()
    assert data.count("\n") == len(cells)
    rows = [json.loads(line) for line in data.split("\n")[:-1]]
    assert rows == [{"number": n - 5, "text": cell} for n, cell in enumerate(cells)]


def test_numbers_are_not_text():
    table = pa.table({"n": pa.array([-5, None], pa.int64()), "f": pa.array([-0.5, 52.52], pa.float32())})
    assert csv_rows(table, UTC) == b"-5,-0.5\r\n,52.52\r\n"
    assert json_rows(table, UTC) == b'{"n":-5,"f":-0.5}\n{"n":null,"f":52.52}\n'


def test_names_of_columns_are_cells_too():
    table = pa.table({'=1+1,"x"': pa.array([1])})
    assert read_csv(csv_header(table.schema)) == [['\'=1+1,"x"']]
    assert json.loads(json_rows(table, UTC)) == {'=1+1,"x"': 1}


@pytest.mark.parametrize(
    ("zone", "at", "text"),
    [
        ("UTC", 0, "1970-01-01T00:00:00.000+00:00"),
        ("Asia/Kolkata", 1_788_220_800_123, "2026-09-01T05:30:00.123+05:30"),
        ("Europe/Berlin", 1_792_889_999_999, "2026-10-25T02:59:59.999+02:00"),
        ("Europe/Berlin", 1_792_890_000_000, "2026-10-25T02:00:00.000+01:00"),
        ("America/St_Johns", 1_788_220_800_000, "2026-08-31T21:30:00.000-02:30"),
    ],
)
def test_times_have_the_offset_of_the_zone(zone, at, text):
    table = pa.table({"at": pa.array([None, at], pa.timestamp("ms", "UTC"))})
    rows = json_rows(table, ZoneInfo(zone)).decode().splitlines()
    assert [json.loads(row)["at"] for row in rows] == [None, text]


@pytest.mark.parametrize("unseen", ["\x00", "\x7f", "\x80", "\x9f", "\u200b", "\ufeff", "\u3000"])
def test_what_is_not_seen_hides_no_formula(unseen):
    ((_, cell),) = read_csv(csv_rows(table_of([f"{unseen}=1+1"]), UTC).replace(b"\0", b"0"))
    assert cell.startswith("'")
