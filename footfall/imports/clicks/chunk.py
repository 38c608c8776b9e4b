"""A chunk of lines -> the clicks in it with their event ids, and the lines that are refused."""

import hashlib
from collections import Counter
from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from footfall.errors import Invalid
from footfall.imports.clicks import bitly
from footfall.imports.clicks.line import ImportedClick, RefusedLine
from footfall.model.reasons import Reason
from footfall.model.record import Tally
from footfall.model.times import DAY_MS, now_ms
from footfall.tenants.links.targets import check_code, check_domain, check_target

FORMATS: dict[str, Callable[[str], ImportedClick | RefusedLine]] = {"bitly": bitly.parse}

MAX_LINES = 20_000
"""Lines in one chunk."""

LONGEST_LINE = 64 << 10
_EXPLAINED = 20  # refused lines whose reason is told in words
_AHEAD_MS = DAY_MS  # a click may not be later than this: the file's clock and zone are not ours


class LineProblem(Struct, frozen=True):
    """A refused line: its index in the chunk, and why."""

    index: int
    reason: str
    detail: str


class Numbered(NamedTuple):
    """A click, the id of its event, and the index of its line in the chunk."""

    key: bytes
    click: ImportedClick
    line: int


class Refusals:
    """The refused lines of a chunk."""

    def __init__(self) -> None:
        self._refused: dict[int, RefusedLine] = {}

    def add(self, index: int, refused: RefusedLine) -> None:
        """The line at `index` is refused."""
        self._refused[index] = refused

    def without(self, known: Sequence[bool]) -> "Refusals":
        """Only those of lines that are not `known`."""
        rest = Refusals()
        rest._refused = {index: refused for index, refused in self._refused.items() if not known[index]}
        return rest

    @property
    def counts(self) -> dict[str, int]:
        """How many for each reason."""
        counts = Counter(map(attrgetter("reason"), self._refused.values()))
        return {reason.value: count for reason, count in sorted(counts.items())}

    @property
    def problems(self) -> list[LineProblem]:
        """The first ones of lines that should have been understood."""
        bad = [index for index, refused in self._refused.items() if refused.reason is Reason.BAD_LINE]
        return [
            LineProblem(index, Reason.BAD_LINE.value, self._refused[index].detail)
            for index in sorted(bad)[:_EXPLAINED]
        ]

    def tallies(self, site_id: str = "") -> list[Tally]:
        """The same for the ledger."""
        return [Tally(site_id, reason, count) for reason, count in self.counts.items()]


def event_id(secret: bytes, line: bytes, occurrence: int) -> bytes:
    """The 16 bytes that name the `occurrence`-th line `line` of a file, whichever file it is.

    BLAKE2b under the workspace's secret: who reads the id learns nothing of the line.
    """
    digest = hashlib.blake2b(key=secret[:64], digest_size=16, person=b"footfall import")
    digest.update(occurrence.to_bytes(8, "big"))
    digest.update(line)
    return digest.digest()


def checked_format(
    format_name: str, lines: Sequence[str], occurrences: Sequence[int]
) -> Callable[[str], ImportedClick | RefusedLine]:
    """The parser of a format. Raises Invalid when that or the chunk's measures are wrong."""
    if format_name not in FORMATS:
        raise Invalid(f"format must be one of: {', '.join(FORMATS)}", field="format")
    check_measures(lines, occurrences)
    return FORMATS[format_name]


def check_measures(lines: Sequence[str], occurrences: Sequence[int]) -> None:
    """Raises Invalid when the measures of a chunk are wrong."""
    if len(lines) > MAX_LINES:
        raise Invalid(f"at most {MAX_LINES} lines in a chunk", field="lines")
    if len(occurrences) != len(lines):
        raise Invalid("one occurrence number for each line", field="occurrences")
    if any(not 1 <= number < 1 << 63 for number in occurrences):
        raise Invalid("occurrence numbers start at 1", field="occurrences")


def read(
    parse: Callable[[str], ImportedClick | RefusedLine],
    secret: bytes,
    lines: Sequence[str],
    occurrences: Sequence[int],
) -> tuple[list[Numbered], Refusals]:
    """Read all lines; `secret` is the workspace's. Takes about 20 microseconds a line."""
    clicks: list[Numbered] = []
    refusals = Refusals()
    latest = now_ms() + _AHEAD_MS
    for index, (line, occurrence) in enumerate(zip(lines, occurrences, strict=True)):
        click = _click(parse, line, latest)
        if isinstance(click, RefusedLine):
            refusals.add(index, click)
        else:
            clicks.append(Numbered(event_id(secret, line.encode(), occurrence), click, index))
    return clicks, refusals


def _click(
    parse: Callable[[str], ImportedClick | RefusedLine], line: str, latest: int
) -> ImportedClick | RefusedLine:
    if len(line) > LONGEST_LINE:
        return RefusedLine(Reason.BAD_LINE, f"longer than {LONGEST_LINE} characters")
    click = parse(line)
    if isinstance(click, RefusedLine):
        return click
    if click.occurred_at > latest:
        return RefusedLine(Reason.BAD_LINE, "the time is in the future")
    try:
        return click._replace(url=_target(click.url))
    except Invalid as error:
        return RefusedLine(Reason.BAD_LINE, str(error))


@lru_cache(2000)  # targets may be 8 KiB long
def _target(url: str) -> str:
    return check_target(url, ())


def with_links(
    clicks: Sequence[Numbered], links: Container[tuple[str, str]], refusals: Refusals
) -> list[Numbered]:
    """The clicks whose link is there; the others are refused."""
    kept: list[Numbered] = []
    for each in clicks:
        if (each.click.domain, each.click.code) in links:
            kept.append(each)
        else:
            refusals.add(each.line, RefusedLine(Reason.BAD_LINE, _why_no_link(each.click)))
    return kept


def _why_no_link(click: ImportedClick) -> str:
    try:
        check_code(click.code)
        if click.domain:
            check_domain(click.domain)
    except Invalid as error:
        return str(error)
    return "the link would lead to one of our own short domains"
