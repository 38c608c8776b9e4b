r"""Whether a pattern may be matched with: checked with RE2, which the store matches with.

RE2 matches in linear time, but a short pattern can be a large program: `[\p{L}]{60}` is one of 70,000
steps. So what a pattern may be once it is compiled is bounded, and how many classes of Unicode it
names, each of which is read as hundreds of ranges. The largest takes a few milliseconds, in which no
other thread of Python runs: never compile one in an event loop.
"""

import re
from importlib import import_module
from typing import Any

from footfall.errors import Invalid

MAX_CLASSES = 20
r"""Classes such as \p{L} in one pattern."""

_re2: Any = import_module("re2")  # it has no types
_PROGRAM = 1 << 18  # bytes, as RE2 counts them: about 2,700 steps
_CLASS = re.compile(r"\\[pP]")


def check_pattern(pattern: str, where: str) -> None:
    """Raises Invalid, which says what is wrong with the pattern, or which limit it exceeds."""
    if len(_CLASS.findall(pattern)) > MAX_CLASSES:
        raise Invalid(rf"{where}: at most {MAX_CLASSES} classes such as \p{{L}} in a pattern", field=where)
    options = _re2.Options()
    options.max_mem = _PROGRAM
    options.log_errors = False
    try:
        _re2.compile(pattern, options)
    except _re2.error as error:
        raise Invalid(f"{where}: {_reason(error)}", field=where) from None
    finally:
        _re2.purge()  # it would keep 128 of them


def _reason(error: Exception) -> str:
    given = error.args[0] if error.args else ""
    reason = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)
    if "too large" in reason:
        return "the pattern is too large once it is compiled; repeat classes less often, or match less"
    return f"no regular expression of RE2: {reason[:200]}"
