"""What a failure of ClickHouse means to a caller: the one place that knows its error codes.

Codes and names: `system.errors` of the engine, or ClickHouse's `ErrorCodes.cpp`.
"""

import re

from footfall.errors import FootfallError, Invalid, Misconfigured, RowRefused, StoreDown, TooSlow

_CODE = re.compile(r"Code: (\d+)")
_PREFIX = re.compile(r"^(?:Code: \d+\. |DB::\w+: )+")
_CONTEXT = re.compile(r":? (?:In scope|[Ww]hile \w+ing) .*$|\s*\(version [^)]*\).*$|\s*\([A-Z_]+\)\.?$")

_TIME = {159, 160}  # TIMEOUT_EXCEEDED, TOO_SLOW
_ENDED = 394  # QUERY_WAS_CANCELLED: who asked has gone, or the store needed its table for itself
_MEMORY = 241
_SIZE = {158, 191, 307, 396}  # too many rows or bytes, in all or in a set
_SCHEMA = {16, 47, 60, 81}  # no such column, identifier, table, database
# Answers to what a caller bound to a parameter: text that is no number, date, zone, pattern, ...
_VALUE = {6, 26, 27, 36, 38, 41, 43, 53, 69, 70, 72, 117, 130, 131, 376, 407, 427, 457, 675, 676}
# What is read is not what was written: checksum, corrupted data, cannot decompress, unknown codec.
_DAMAGE = {40, 246, 271, 432}
# Of a part: a file of it ends early, is gone, or has another size.
_DAMAGE_OF_A_PART = {*_DAMAGE, 3, 33, 107, 228}
_PART = re.compile(r"while reading from part (/.*?)/? in table")

# Full, missing or broken files, too much at once, no answer.
_INFRASTRUCTURE = {
    32, 33, 40, 74, 75, 76, 77, 87, 88, 104, 107, 159, 173, 202, 203, 209, 210, 228, 236, 242, 243,
    252, 279, 297, 425, 439, 473, 574, 999, 1000, 1001,
}  # fmt: skip


def code_of(message: str) -> int:
    """The engine's error code in `message`, 0 when there is none."""
    found = _CODE.search(message)
    return int(found[1]) if found else 0


def damaged_part(message: str) -> str | None:
    """The directory of the part that is damaged; "" of one that is not named; None if none is."""
    code, part = code_of(message), _PART.search(message)
    if part and code in _DAMAGE_OF_A_PART:
        return part[1]
    return "" if code in _DAMAGE else None


def brief(message: str) -> str:
    """What an engine's message says, without code, version, and the statement it was about."""
    text = message[max(message.find("Code: "), 0) :].strip().partition("\n")[0]
    text = _PREFIX.sub("", text)
    while (shorter := _CONTEXT.sub("", text)) != text:
        text = shorter
    return text[:300]


def of_insert(message: str) -> StoreDown:
    """The error that `Store.insert` raises for a failure of the engine; it shows nothing of the rows."""
    code = code_of(message)
    if code in _VALUE:
        return RowRefused(f"the store refuses a row of this batch (code {code})")
    return StoreDown(f"an insert failed: {brief(message)} (code {code})")


def of_query(message: str) -> FootfallError:
    """The error that `Store.query` raises for a failure of the engine.

    FootfallError itself means that Footfall asked something wrong.
    """
    code = code_of(message)
    if code in _TIME:
        return Invalid("the question takes longer than is allowed; ask for a shorter range or fewer groups")
    if code == _ENDED:
        return StoreDown("the store has ended this question")
    if code == _MEMORY:
        if "(total)" in message:
            return StoreDown("the store has no memory left for this question now")
        return Invalid(
            "the question needs more memory than is allowed; ask for a shorter range or fewer groups"
        )
    if code in _SIZE:
        return Invalid("the question reads or returns more than is allowed; ask for a shorter range")
    if code in _SCHEMA:
        return Misconfigured(
            f"the store's schema is not up to date, run `footfall migrate`: {brief(message)}"
        )
    if code in _VALUE:
        return Invalid(f"the store cannot use a value of the question: {brief(message)}")
    if code in _INFRASTRUCTURE or not code:
        return StoreDown(f"the store failed: {brief(message)}")
    return FootfallError(f"the store refused the query: {brief(message)} (code {code})")


def of_house(error: FootfallError) -> StoreDown:
    """The same, where nobody outside has asked: nothing can be wrong with the question."""
    if isinstance(error, StoreDown):
        return error
    if isinstance(error, Invalid):
        return TooSlow(f"housekeeping is not answered: {error}")
    return StoreDown(f"housekeeping is not answered: {error}")
