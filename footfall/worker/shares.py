"""Whose the things are that are remembered, so that nobody can fill the memory of others.

Strangers may bring as many visitors as they like. Where there is no room for all, whoever has most
loses: those that were used last stay, as far as that is looked at (CLOCK, Corbató 1968: what was used
since it was looked at last is passed over once).
"""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from footfall.model.record import WITHOUT_KEY

V = TypeVar("V")

Owner = tuple[str, str, bool]
"""Workspace, site, and whether it came without a key."""

OwnerOf = Callable[[int], Owner]
"""Whose a row of a batch is, by its number."""


def nobody(_row: int) -> Owner:
    """All are of one owner."""
    return "", "", False


class Shares(Generic[V]):
    """`entries`, of which `add` says whose they are and `forget` leaves no more than `limit`."""

    def __init__(self, limit: int, used: Callable[[V], bool] = lambda _: False) -> None:
        """`used`: whether it was used since `used` was asked about it last."""
        self._limit = limit
        self._used = used
        self._of: defaultdict[Owner, deque[int]] = defaultdict(deque)
        self.entries: dict[int, V] = {}

    def add(self, key: int, value: V, owner: Owner) -> None:
        """Remember it. It stays theirs until it is forgotten, whoever changes it."""
        if key not in self.entries:
            self._of[owner].append(key)
        self.entries[key] = value

    def forget(self) -> None:
        """What is too much, once for a whole batch."""
        excess = len(self.entries) - self._limit
        if excess <= 0:
            return
        most = share(sorted(map(len, self._of.values()), reverse=True), excess)
        for owner, keys in [(owner, keys) for owner, keys in self._of.items() if len(keys) > most]:
            while len(keys) > most:
                key = keys.popleft()
                if self._used(self.entries[key]):
                    keys.append(key)
                else:
                    del self.entries[key]
            if not keys:
                del self._of[owner]


def share(sizes: list[int], excess: int) -> int:
    """What each may keep so that all together lose `excess` or a few more; `sizes` falling."""
    total = 0
    for count, size in enumerate(sizes, 1):
        total += size
        following = sizes[count] if count < len(sizes) else 0
        if total - count * following >= excess:
            return (total - excess) // count
    return 0


def owners(rows: dict[str, list[Any]]) -> OwnerOf:
    """Whose the rows of some columns are."""
    workspaces, sites, sources = rows["workspace_id"], rows["site_id"], rows["source"]
    return lambda row: (workspaces[row], sites[row], sources[row] in WITHOUT_KEY)
