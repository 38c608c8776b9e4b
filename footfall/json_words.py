"""What msgspec says of a value that does not fit, in the words of whoever wrote the JSON."""

import re
from collections.abc import Mapping

_A_TIME = "a time in ISO 8601 with offset, as in 2027-01-31T18:00:00+01:00"

_TYPE = re.compile(r"`([^`]+)`")
_PLACE = re.compile(r" - at `[^`]*`$")
_LENGTH = re.compile(r"Expected `(\w+)` of length (<=|>=) (\d+)")
_BOUND = re.compile(r"Expected `(int|float)` (<=|>=|<|>) (\S+)")
_PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
_OTHER_TYPE = re.compile(r"Expected (`[^`]+`), got (`[^`]+`)")

_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "datetime": "a time",
    "null": "null",
}
_SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
PATTERNS = {
    "^([A-Za-z][A-Za-z0-9]|-{1,2})?$": "two letters, as in DE",
    "^[A-Z]{3}$": "three capital letters, as in EUR",
    r"^\d{4}-(0[1-9]|1[0-2])$": "a year and a month, as in 2026-03",
}
"""What is allowed where a text must have a form, in words."""

FIELDS: Mapping[str, str] = {
    "value_minor": "a whole number of cents (of the currency's minor unit)",
    "occurred_at": f"{_A_TIME}, or Unix time in seconds or milliseconds",
}
"""What fields want whose type does not say it, by the last part of their name."""


def in_words(message: str, field: str = "") -> str:
    """Msgspec's `message` about `field`, without its place."""
    message = _PLACE.sub("", message)
    wanted = FIELDS.get(field.rpartition(".")[2])
    if message.startswith("Invalid RFC3339 encoded datetime"):
        return f"Expected {wanted or _A_TIME}"
    if message.startswith("Object missing required field"):
        return "required, and missing"
    if found := _LENGTH.fullmatch(message):
        one, many = ("character", "characters") if found[1] == "str" else ("entry", "entries")
        return f"Expected {_SIGNS[found[2]]} {found[3]} {one if found[3] == '1' else many}"
    if found := _BOUND.fullmatch(message):
        return f"Expected {wanted or _spelled(found[1])}, {_SIGNS[found[2]]} {float(found[3]):.15g}"
    if found := _PATTERN.fullmatch(message):
        pattern = found[1].replace("\\\\", "\\")
        return f"Expected {PATTERNS.get(pattern, 'another form')}"
    if found := _OTHER_TYPE.fullmatch(message):
        return f"Expected {wanted or _spelled(found[1])}, got {_spelled(found[2], got=True)}"
    return _TYPE.sub(lambda name: _spelled(name[0]), message)


def _spelled(types: str, *, got: bool = False) -> str:
    names = types.strip("`").split(" | ")
    if got and names == ["float"]:
        return "a number with a fraction"
    # What may be left out may be null, too: nobody needs to be told.
    names = [name for name in names if name != "null"] or names
    if "float" in names and "int" in names:
        names.remove("int")
    return " or ".join(_NAMES.get(name, f"'{name}'") for name in names)
