"""What was sent, what was acknowledged, and how often each event may be counted: the test's own count."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

Name = tuple[str, bytes]
"""An event: its workspace and its id."""

Position = tuple[int, int]


class Copy(NamedTuple):
    """An event that was sent once. `at`: true time of the answer (s); `sure`: it was acknowledged."""

    at: float
    sure: bool
    bad: bool = False  # what the program could not make a row of at that time
    ids_before: int = 0  # how many ids were sent before it


@dataclass
class Sent:
    """An event as it was made, and all copies of it. `bounded`: how often it may be counted is known."""

    workspace: str
    event_id: bytes
    site: str
    event_type: str
    occurred_at: int  # ms
    visitor: int
    client_id: bool
    imported: bool = False
    copies: list[Copy] = field(default_factory=list)
    discarded: int = 0
    bounded: bool = True

    @property
    def name(self) -> Name:
        return self.workspace, self.event_id

    @property
    def acknowledged(self) -> int:
        return sum(copy.sure for copy in self.copies)

    def most(self, window: float, ids: int) -> int:
        """How many rows there may be: copies further apart than the index of ids promises count again."""
        if not self.bounded:
            return len(self.copies)
        if self.imported:
            return 1
        if not self.client_id:
            return len(self.copies)
        rows, last = 0, None
        for copy in sorted(self.copies):
            if last is None or copy.at > last.at + window or copy.ids_before > last.ids_before + ids:
                rows, last = rows + 1, copy
        return rows


class Row(NamedTuple):
    """A row that was seen in the store."""

    position: Position
    name: Name
    site: str
    event_type: str
    occurred_at: int
    received_at: int
    visitor: int


class Truth:
    """All events by name, and all rows that were ever seen."""

    def __init__(self, window: float, ids: int) -> None:
        self.window, self.ids = window, ids
        self.sent: dict[Name, Sent] = {}
        self.seen: dict[Position, Row] = {}
        self.garbage = 0  # records that no program could read; each counts as one event
        self.refused = 0  # imported lines that may have been refused, and be counted as received
        self.client_ids = 0

    def note(self, events: Iterable[Sent], at: float, *, sure: bool, bad: Iterable[bytes] = ()) -> None:
        """These were sent."""
        wrong = set(bad)
        for event in events:
            known = self.sent.setdefault(event.name, event)
            known.copies.append(Copy(at, sure, event.event_id in wrong, self.client_ids))
            self.client_ids += event.client_id

    @property
    def acknowledged(self) -> int:
        """Copies that were acknowledged, and must stand in the books."""
        return self.garbage + sum(each.acknowledged for each in self.sent.values())

    @property
    def possible(self) -> int:
        """Copies that may stand in the books."""
        return self.garbage + self.refused + sum(len(each.copies) for each in self.sent.values())

    def rows_of(self) -> Counter[Name]:
        """How many rows of each event were ever seen."""
        return Counter(row.name for row in self.seen.values())
