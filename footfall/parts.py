"""The parts of a data directory, and what is wrong with one: decided of what was found, and nothing else."""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from footfall import stamps
from footfall.stamps import FoundPart, Stamp

META, STATE, LOG, STORE = "meta.db", "state.db", "log", "store"
PARTS = (META, STATE, LOG, STORE)
DOOR = (META, STATE, LOG)
"""What a door opens."""

REBUILD_STATE = "footfall rebuild-state"
HOLDS = {META: "the links and keys", STATE: "the books", LOG: "the log", STORE: "the store"}
REMEDY = {
    META: "restore it from a backup, or insist with `footfall serve --new`: then links and keys begin anew",
    STATE: f"restore the whole data directory from one backup, or run `{REBUILD_STATE}`",
    LOG: "restore it from a backup, or insist with `footfall serve --new`: what only it held is lost then",
    STORE: "restore the whole data directory from one backup, or run `footfall rebuild-store`",
}
RENEWABLE = (META, LOG)


class PartListing(Struct, frozen=True):
    """What `DATA/installation` says. Every part bears the number of a start from `since` to `start`.

    They differ only where a process ended, or the disk was full, while the parts were stamped.
    """

    id: str
    parts: tuple[str, ...] = ()
    since: int = 0
    start: int = 0


def start_of(stamp: Stamp) -> int:
    """For comparisons."""
    return stamp.start


def foreign(found: Mapping[str, FoundPart], listing: PartListing) -> list[str]:
    """What begins anew because it is of another installation: its keys, or its positions, are not ours."""
    borne = {part: found[part].stamp for part in RENEWABLE if part in found}
    return [part for part, stamp in borne.items() if stamp and stamp.id != listing.id]


def remedy(part: str, wrong: set[str]) -> str:
    """One that helps with all that is wrong at once: no command may only send to another that sends back."""
    if {STATE, STORE} <= wrong:
        return f"restore the whole data directory from one backup: {STATE} and the {STORE} are both gone"
    if wrong.isdisjoint(RENEWABLE) or wrong.isdisjoint((STATE, STORE)):
        return REMEDY[part]
    command = f"footfall rebuild-{'state' if STATE in wrong else 'store'} --new"
    lost = " and ".join(each for each in RENEWABLE if each in wrong)
    return (
        f"restore all of it from one backup, or insist with `{command}`: what only {lost} held is lost then"
    )


def problem_of(found: FoundPart, listing: PartListing, borne: Mapping[str, Stamp]) -> str:
    """What is wrong with a part that must be there, in words; "" when nothing is."""
    stamp = found.stamp
    if stamp is None:
        return found.problem or "has lost its stamp: it is of an older backup, or of another installation"
    if stamp.id != listing.id:
        return "belongs to another installation than the rest of the data directory"
    newest = max(borne.values(), key=start_of)
    # A listing that was set back on its own is no evidence against the parts.
    since = listing.since if listing.start >= newest.start else newest.start
    if stamp.start < since:
        return f"is older than the rest: it is of {_shown(stamp)}, the rest of {_shown(newest)}"
    return ""


def behind(found: Mapping[str, FoundPart]) -> str:
    """The worker closes a batch in state.db before it notes that in the log and in the store."""
    known = found[STATE].offsets
    for part, said in (
        (LOG, "is older than the log, which was stored further than it knows"),
        (STORE, "is older than the store, which holds more than it knows"),
    ):
        noted = found.get(part, stamps.MISSING).offsets
        if any(offset > known.get(shard, -1) for shard, offset in noted.items()):
            return said
    return ""


def _shown(stamp: Stamp) -> str:
    return datetime.fromtimestamp(stamp.at, UTC).isoformat(timespec="seconds")
