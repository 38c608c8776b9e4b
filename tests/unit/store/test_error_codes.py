"""What the engine's errors mean."""

import pytest

from footfall.errors import FootfallError, Invalid, Misconfigured, StoreDown
from footfall.store.error_codes import brief, of_insert, of_query


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Code: 159. DB::Exception: Timeout exceeded: elapsed 3 ms. (TIMEOUT_EXCEEDED)", Invalid),
        ("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)", StoreDown),
        ("Code: 241. DB::Exception: Query memory limit exceeded: would use 1 GiB", Invalid),
        ("Code: 241. DB::Exception: (total) memory limit exceeded: would use 1 GiB", StoreDown),
        ("Code: 427. DB::Exception: OptimizedRegularExpression: cannot compile: (", Invalid),
        ("Code: 60. DB::Exception: Unknown table expression identifier 'events'", Misconfigured),
        (
            "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
            StoreDown,
        ),
        ("something that is no error of the engine", StoreDown),
        ("Code: 62. DB::Exception: Syntax error: failed at position 1", FootfallError),
        ("Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)", FootfallError),
    ],
)
def test_of_query(message, kind):
    assert type(of_query(message)) is kind


def test_an_insert_never_shows_the_rows():
    message = 'Code: 117. DB::Exception: Cannot parse JSON here: {"secret":: while executing (INCORRECT_DATA)'
    assert "secret" not in str(of_insert(message))


def test_brief_leaves_out_codes_versions_and_the_statement():
    assert (
        brief(
            "Unable: Code: 47. DB::Exception: Code: 47. DB::Exception: Unknown identifier `x`."
            " In scope SELECT x. (UNKNOWN_IDENTIFIER) (version 26.9.2.1). (UNKNOWN_IDENTIFIER)\nstack"
        )
        == "Unknown identifier `x`."
    )
