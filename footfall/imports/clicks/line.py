"""What the formats of click files have in common: the click that a line tells of, or why it tells of none."""

from typing import NamedTuple

from footfall.model.reasons import Reason
from footfall.model.record import SenderContext
from footfall.model.times import Millis


class ImportedClick(NamedTuple):
    """One click of an imported file. Times in ms since 1970 UTC; `domain` "" when the file names none."""

    domain: str
    code: str
    url: str
    occurred_at: Millis
    referrer: str
    properties: str  # a JSON object, or ""
    visit: SenderContext


class RefusedLine(NamedTuple):
    """A line that is no click, and why, in words."""

    reason: Reason
    detail: str
