"""What Excel would take for something else by double-click is written otherwise."""

import csv
import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from footfall.query.export.excel import excel_header, excel_rows

BERLIN = ZoneInfo("Europe/Berlin")


def cells(column, zone=BERLIN):
    table = pa.table({"x": column})
    data = excel_header(table.schema) + excel_rows(table, zone)
    assert data.startswith(b"\xef\xbb\xbfx\r\n")
    return [row[0] if row else "" for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))][
        1:
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-10-05T10:00:00.000+00:00", "2026-10-05 10:00:00"),
        ("2026-10-05T00:00:00+02:00", "2026-10-05 00:00:00"),
        ("2026-10-05T10:00:00Z", "2026-10-05 10:00:00"),
        ("2026-10-05", "2026-10-05"),
        ("at 2026-10-05T10:00:00Z", "at 2026-10-05T10:00:00Z"),
        ("1234567890123456", "'1234567890123456"),
        ("0012", "'0012"),
        ("12e4567890", "'12e4567890"),
        ("90E5", "'90E5"),
        ("4711", "4711"),
        ("0", "0"),
        ("0190163d-0000-7000-8000-000000000008", "0190163d-0000-7000-8000-000000000008"),
        ("=1+1", "'=1+1"),
        ('a, "b"', 'a, "b"'),
        ("M\u00fcnchen", "M\u00fcnchen"),
        ("", ""),
    ],
)  # fmt: skip
def test_text(text, shown):
    assert cells(pa.array([text])) == [shown]
    assert cells(pa.array([text, text]).dictionary_encode()) == [shown, shown]


def test_times_are_those_of_the_zone_without_offset():
    times = [datetime(2026, 7, 1, 22, 30, tzinfo=UTC), None, datetime(2026, 12, 31, 23, 0, 0, 5000, UTC)]
    assert cells(pa.array(times, pa.timestamp("ms", "UTC"))) == [
        "2026-07-02 00:30:00",
        "",
        "2027-01-01 00:00:00",
    ]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_numbers_have_four_digits_behind_the_point(kind):
    assert cells(pa.array([1 / 3, 0.05, None, 2.0], kind)) == ["0.3333", "0.05", "", "2"]


def test_whole_numbers_and_truth_stay_as_they_are():
    assert cells(pa.array([12345678901234, -5, None])) == ["12345678901234", "-5", ""]
    assert cells(pa.array([True, False])) == ["true", "false"]
