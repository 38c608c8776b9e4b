"""What the recent-id index keeps of an id: 80 bits of key, and 16 bits that tell payloads apart.

The key is a keyed permutation of the 128 bits of the id, another one for each workspace, cut to
80 bits: four rounds of a Feistel network (Luby and Rackoff, 1988) whose round function is the
finalizer of SplitMix64 (Steele, Lea and Flood, 2014). Among n ids a fresh one is taken for
a duplicate with probability n / 2^80: 8e-18 at 10 million. Nobody without the secret
can choose ids that meet.
"""

import os
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from footfall.model.record import RawEvent

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]
U16 = NDArray[np.uint16]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SECRET_BYTES = 32
ID_BYTES = 16

# Of `rest`, the low bits are the payload's digest, the high bits belong to the key.
DIGEST_BITS = 16
UNKNOWN_PAYLOAD = 0
"""The digest of a payload that nobody knows: it is that of no event, and like every other."""

# SplitMix64's finalizer.
_SHIFTS = np.array((30, 27, 31), np.uint64)
_FACTORS = np.array((0xBF58476D1CE4E5B9, 0x94D049BB133111EB), np.uint64)

_MOST_WORKSPACES = 10_000  # whose keys are remembered


class Ids(NamedTuple):
    """The ids of a batch, in its order."""

    key: U64
    rest: U32  # 16 more bits of the key, 16 bits of the payload's digest

    @classmethod
    def none(cls) -> "Ids":
        """No ids at all."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.uint32))


class Keys:
    """Makes keys of ids, under a secret that stays with the index: its old keys must mean the same."""

    def __init__(self, secret: bytes = b"") -> None:
        self.secret = secret or os.urandom(SECRET_BYTES)
        rounds = blake2b(b"rounds", key=self.secret, digest_size=32).digest()
        self._rounds = np.frombuffer(rounds, "<u8").astype(np.uint64)
        self._workspaces: dict[str, U64] = {}

    def identify(
        self, workspaces: Sequence[str], event_ids: Sequence[bytes], digests: Sequence[int] | U16
    ) -> Ids:
        """The keys of ids of 16 bytes, each with its workspace and the digest of its payload."""
        count = len(event_ids)
        if not len(workspaces) == len(digests) == count:
            raise ValueError("one workspace and one digest for each id")
        joined = b"".join(event_ids)
        if len(joined) != 16 * count:
            raise ValueError("an id has 16 bytes")
        halves = np.frombuffer(joined, "<u8").reshape(count, 2)
        left, right = self._of_workspaces(workspaces)
        left, right = left ^ halves[:, 0], right ^ halves[:, 1]
        for number in (0, 2):
            left ^= _mix(right + self._rounds[number])
            right ^= _mix(left + self._rounds[number + 1])
        rest = (right >> 48 << DIGEST_BITS).astype(np.uint32) | np.asarray(digests, np.uint32)
        return Ids(left, rest)

    def _of_workspaces(self, workspaces: Sequence[str]) -> tuple[U64, U64]:
        numbers = {workspace: number for number, workspace in enumerate(dict.fromkeys(workspaces))}
        keys = np.array([self._of_workspace(each) for each in numbers], np.uint64).reshape(-1, 2)
        number = np.fromiter(map(numbers.__getitem__, workspaces), np.intp, len(workspaces))
        return keys[number, 0], keys[number, 1]

    def _of_workspace(self, workspace: str) -> U64:
        known = self._workspaces.get(workspace)
        if known is None:
            digest = blake2b(workspace.encode(), key=self.secret, person=b"workspace", digest_size=16)
            known = np.frombuffer(digest.digest(), "<u8").astype(np.uint64)
            if len(self._workspaces) >= _MOST_WORKSPACES:
                self._workspaces.clear()
            self._workspaces[workspace] = known
        return known


def payload_digests(events: Iterable[RawEvent]) -> list[int]:
    """16 bits of each event's payload, by which a resend and another event with its id are told apart.

    It is what the client says and a resend repeats. Left out are times (the door fills in its
    own), the visitor (made of the address) and what the door looks up of a link. Never UNKNOWN_PAYLOAD.
    """
    return [
        crc32(
            f"{e.event_type}\n{e.site_id}\n{e.short_code}\n{e.page_url}\n{e.referrer}\n{e.properties}".encode()
        )
        & 0xFFFF
        or 1
        for e in events
    ]


def _mix(value: U64) -> U64:
    value = (value ^ value >> _SHIFTS[0]) * _FACTORS[0]
    value = (value ^ value >> _SHIFTS[1]) * _FACTORS[1]
    return value ^ value >> _SHIFTS[2]
