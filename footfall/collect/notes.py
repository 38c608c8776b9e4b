"""What the sender of an accepted event is told all the same.

That a time was set otherwise, and what is taken as it is though something else was perhaps meant.
"""

import difflib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from footfall.collect.validate import Sender
from footfall.model.kinds import KINDS
from footfall.model.record import RawEvent
from footfall.tenants.model import LINK_ID
from footfall.units import spell_time

_LONGEST_NEAR = 30  # characters of a type that may be a known one with typing errors
_ALIKE = 0.85  # of 1: "pageviews" and "page_view" are 0.94 alike


class Notes:
    """The notes of one request. What is said of a type or a link is said once."""

    def __init__(self, sender: Sender, max_past: float, max_future: float) -> None:
        self._sender = sender
        self._max_past = max_past
        self._max_future = max_future
        self._said: set[str] = set()

    def about(self, index: int, event: RawEvent, link: str) -> dict[str, Any] | None:
        """The verdict of an event that was accepted, if there is something to tell.

        `link`: the id that its sender names; "" where a code named the link.
        """
        told: dict[str, str] = {}
        if event.occurred_at_original:
            told["occurred_at"] = self._time(event)
        kind = event.event_type
        if kind not in KINDS and (near := near_kind(kind)) and self._first(f"event_type {kind}"):
            told["event_type"] = f"stored as a type of its own; did you mean {near}?"
        if link.startswith(LINK_ID) and link not in self._sender.own_links and self._first(f"link_id {link}"):
            told["link_id"] = "stored, though no link of this workspace has this id"
        if not told:
            return None
        verdict: dict[str, Any] = {"index": index, "status": "accepted"}
        if event.occurred_at_original:
            verdict["adjusted"] = "occurred_at"
        message = "; ".join(f"{field}: {text}" for field, text in told.items())
        return verdict | {"field": next(iter(told)), "message": message}

    def _time(self, event: RawEvent) -> str:
        given = datetime.fromtimestamp(event.occurred_at_original / 1000, UTC).isoformat(timespec="seconds")
        if event.occurred_at_original > event.occurred_at:
            return f"{given} is more than {spell_time(self._max_future)} ahead; stored at the time of receipt"
        return (
            f"{given} is more than {spell_time(self._max_past)} ago; stored at the time of receipt "
            "(a key with the scope admin keeps its times)"
        )

    def _first(self, what: str) -> bool:
        if what in self._said:
            return False
        self._said.add(what)
        return True


@lru_cache(1024)
def near_kind(name: str) -> str:
    """The known type that was perhaps meant by this one; "" for none."""
    if len(name) > _LONGEST_NEAR:
        return ""
    plain = "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
    return next(iter(difflib.get_close_matches(plain, KINDS, 1, _ALIKE)), "")
