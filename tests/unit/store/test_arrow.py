"""Columns of Python values to one Arrow table."""

import math

import pyarrow as pa
import pytest

from footfall.model.columns import COLUMNS, NAMES
from footfall.store.arrow import SCHEMA, Constant, table

BLANK = {"UUID": bytes(16), "Bool": False, "Float32": 1.0}


def blank(count):
    return {
        c.name: [BLANK.get(c.type, "" if "String" in c.type or c.type == "JSON" else 0)] * count
        for c in COLUMNS
    }


def test_the_schema_is_that_of_the_model():
    assert tuple(SCHEMA.names) == NAMES
    assert table(blank(3)).schema == SCHEMA
    assert table(blank(0)).num_rows == 0


def test_a_constant_is_the_same_as_a_list_that_repeats_it():
    values = blank(5) | {"city": ["Zürich"] * 5, "asn": [13335] * 5, "event_id": [b"0123456789abcdef"] * 5}
    constants = {name: Constant(column[0]) for name, column in values.items() if name != "seq"}
    assert table(values | constants).equals(table(values))


def test_repeating_text_travels_as_a_dictionary_without_doubles():
    cities = table(blank(4) | {"city": ["a", "b", "a", "b"]})["city"].combine_chunks()
    assert isinstance(cities, pa.DictionaryArray)
    assert cities.dictionary.to_pylist() == ["a", "b"]
    assert cities.to_pylist() == ["a", "b", "a", "b"]


def test_unknown_floats_are_nan_in_lists_and_constants():
    made = table(blank(2) | {"latitude": [None, 1.5], "longitude": Constant(None)})
    assert math.isnan(made["latitude"][0].as_py())
    assert made["latitude"][1].as_py() == 1.5
    assert all(math.isnan(value.as_py()) for value in made["longitude"])
    assert made["latitude"].null_count == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": [1]},
        {"city": ["a", "b"]},
        {"event_id": [b"short"]},
        {"asn": [-1]},
        {"event_version": [2**16]},
        {"seq": ["text"]},
        {"city": [1]},
    ],
)
def test_wrong_columns_lengths_and_types_are_errors(wrong):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        table(blank(1) | wrong)


def test_a_missing_column_is_named():
    values = blank(1)
    del values["city"]
    with pytest.raises(ValueError, match="missing or unknown: city"):
        table(values)
