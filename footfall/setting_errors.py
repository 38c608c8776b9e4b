"""What is wrong with a setting, in the words of whoever wrote it: on one line, with what may be written."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

PREFIX = "FOOTFALL_"
"""Of every variable that is a setting."""

OTHER_VARIABLES = frozenset({"FOOTFALL_KEY"})  # an option of commands, not a setting
_OF_TESTS = ("FOOTFALL_TEST", "FOOTFALL_BENCH_")  # what the tests and benchmarks read
_SECRETS = frozenset({"admin_key"})
_LONGEST = 100  # characters of a value that are shown
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def unknown_variables(names: Iterable[str], fields: Mapping[str, FieldInfo]) -> list[str]:
    """A line for each variable that looks like a setting and is none."""
    return [
        f"{name}: there is no such setting{_near(setting, fields, PREFIX)}"
        for name in sorted(names)
        if name.upper().startswith(PREFIX)
        and (setting := name.lower().removeprefix(PREFIX.lower())) not in fields
        and name.upper() not in OTHER_VARIABLES
        and not name.upper().startswith(_OF_TESTS)
    ]


def explain(problem: ErrorDetails, fields: Mapping[str, FieldInfo], file: Path) -> str:
    """What is wrong with one setting; `file` is where an unknown name can only stand."""
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        table = "; settings stand in no table" if isinstance(problem["input"], dict) else ""
        return f"{name}: there is no such setting{_place(name, file)}{table or _near(name, fields)}"
    message = problem.get("ctx", {}).get("error") or _allowed(fields[name])
    if name in _SECRETS:
        return f"{name}: {message}"
    value = str(problem["input"])
    return f"{name} = {value[:_LONGEST]}{'...' if len(value) > _LONGEST else ''}: {message}"


def unreadable(file: Path, error: Exception) -> str:
    """Why the file cannot be read."""
    match error:
        case tomllib.TOMLDecodeError():
            why = str(error).replace("at end of document", f"at its end, line {_lines(file)}")
        case UnicodeDecodeError():
            line = bytes(error.object[: error.start]).count(b"\n") + 1
            why = f"it is not written in UTF-8 (at line {line})"
        case OSError():
            why = error.strerror or str(error)
        case _:
            why = str(error)
    return f"{file} cannot be read: {why}"


def _near(name: str, fields: Mapping[str, FieldInfo], prefix: str = "") -> str:
    """The setting that was meant, perhaps: spelled alike, else beginning with the same word."""
    spelled = name.lower().replace("-", "_")
    word = spelled.partition("_")[0] + "_"
    near = difflib.get_close_matches(spelled, fields, 1) or [each for each in fields if each.startswith(word)]
    return f"; did you mean {prefix}{near[0].upper() if prefix else near[0]}?" if near else ""


def _place(name: str, file: Path) -> str:
    """Where the name stands in the file, as far as a glance can tell."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, ValueError):
        return ""
    for number, line in enumerate(lines, 1):
        if (found := _NAME.search(line)) and found[0] == name and not line.lstrip().startswith("#"):
            return f" ({file}, line {number})"
    return ""


def _lines(file: Path) -> int:
    return file.read_text(errors="replace").rstrip("\n").count("\n") + 1


def _allowed(field: FieldInfo) -> str:
    """What may be written for a setting that reads no unit."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        *others, last = (f'"{each}"' for each in get_args(kind))
        return f"write {', '.join(others)} or {last}"
    return f"write {' '.join([_WORDS.get(kind, 'a text'), *bounds(field)])}"


_WORDS: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    Path | None: "a path",
}


def bounds(field: FieldInfo) -> Iterable[str]:
    """What a number may be, in words: `from 1`, `to 65,535`."""
    for rule in field.metadata:
        match rule:
            case Ge():
                yield f"from {rule.ge:,}"
            case Gt():
                yield f"above {rule.gt:,}"
            case Le():
                yield (
                    f"to {rule.le:,}"
                    if any(isinstance(each, Ge) for each in field.metadata)
                    else (f"and at most {rule.le:,}")
                )
            case _:
                pass
