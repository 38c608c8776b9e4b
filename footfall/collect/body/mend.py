"""Halves of emoji, as scripts that cut strings send them: U+FFFD in their place, as a browser would write.

Only what is such a half is touched, and no match costs more than the run of escapes it stands in.
"""

import re

from footfall.collect.body.turns import Steps

# Escaped halves of emoji: `\ud83d\ude00` is a whole one, which is both.
SURROGATES = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})*+")
_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_UNIT = 6  # bytes of such an escape
_RUNS = 200  # of them in one step


def mend(text: bytes) -> Steps[bytes]:
    """Halves of emoji, as scripts that cut strings send them, become U+FFFD, as in a browser's encoding."""
    parts: list[bytes] = []
    done = 0
    for number, run in enumerate(SURROGATES.finditer(text), 1):
        start, end = run.span()
        before = text[done:start]
        if (len(before) - len(before.rstrip(b"\\"))) % 2:
            start += _UNIT  # its backslash is an escaped one
        parts += text[done:start], _LONE.sub(rb"\\ufffd", text[start:end])
        done = end
        if not number % _RUNS:
            yield
    return b"".join((*parts, text[done:])) if parts else text
