"""Whether the parts of a data directory belong together: asked before any of them is opened.

    meta.db    workspaces, sites, links, keys         log/      what was acknowledged, for a week
    state.db   how far the log is stored, the books   store/    what is stored

Links and books may be in PostgreSQL instead (`database`): they are parts all the same.

Each part bears a stamp: the installation's id, and the number of the start at which it was last in use.
`DATA/installation` lists the parts there are. So a part that is gone, empty, older than the others
(a backup that was set back on its own) or somebody else's is never taken for a new beginning. Who
runs on the data directory alone counts the start; a door beside it only compares.
"""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog

from footfall import stamps
from footfall.database import Place, PostgresSchema, aside, place_of
from footfall.errors import Invalid, Misconfigured, Retryable
from footfall.parts import (
    HOLDS,
    LOG,
    META,
    PARTS,
    REBUILD_STATE,
    REMEDY,
    RENEWABLE,
    STATE,
    STORE,
    PartListing,
    behind,
    foreign,
    problem_of,
    remedy,
    start_of,
)
from footfall.runtime.presence import is_directory, is_there
from footfall.runtime.private import make_private
from footfall.settings import Settings
from footfall.stamps import FoundPart, Stamp
from footfall.state.tables import open_state
from footfall.tenants.tables import open_metadata

log = structlog.get_logger(__name__)


def prepare(settings: Settings, *, new: bool = False) -> None:
    """Compare the parts, make what is not there yet, and count this start; under the data directory's lock.

    `new`: links and keys, or the log, may begin anew where they are gone or older. Raises Misconfigured
    naming the part that does not belong, Retryable when a database is locked.
    """
    with _turn(settings.data):
        found = _found(settings, whole=True)
        listing = judge(_listed(settings), found, settings, new=new)
        others = foreign(found, listing)
        _tell_the_log(settings, {part: each for part, each in found.items() if part not in others})
        _put_aside(settings, others)
        stamp = stamps.next_stamp(listing.id, listing.start + 1)
        try:
            _write(settings, msgspec.structs.replace(listing, start=stamp.start))
            for part in _parts(settings):
                _stamp(settings, part, stamp)
            _write(settings, PartListing(listing.id, _parts(settings), stamp.start, stamp.start))
        except (OSError, Retryable) as error:
            if set(_parts(settings)) - set(listing.parts):
                raise Misconfigured(f"{settings.data} cannot be written: {error}") from error
            # A server starts on a full disk, too: it answers, and goes on when there is room.
            log.warning("the start could not be counted", problem=str(error))


def check(settings: Settings, parts: Sequence[str] = PARTS) -> None:
    """Compare the parts; what a role is the first to need is made. Raises as `prepare`."""
    with _turn(settings.data):
        found = _found(settings, whole=True)
        listing = judge(_listed(settings), found, settings)
        _tell_the_log(settings, found)
        missing = [part for part in _parts(settings) if part in parts and part not in listing.parts]
        if not missing:
            return
        try:
            for part in missing:
                _stamp(settings, part, stamps.next_stamp(listing.id, listing.start))
            _write(settings, msgspec.structs.replace(listing, parts=(*listing.parts, *missing)))
        except (OSError, Retryable) as error:
            raise Misconfigured(f"{settings.data} cannot be written: {error}") from error


@contextmanager
def new_part(settings: Settings, part: str, *, new: bool = False) -> Generator[Place | None]:
    """Put the books or the store away while the block makes a new one; where it lies now, None if nowhere.

    It is back if the block fails. The other parts must belong together; `new`: but for links and keys, or
    the log, which begin anew where they are gone or older. Raises as `prepare`.
    """
    with _turn(settings.data):
        found = _found(settings, whole=True, without=part)
        newest = max((each.stamp for each in found.values() if each.stamp), key=start_of, default=None)
        offsets = stamps.furthest(*(each.offsets for each in found.values()))
        fits = FoundPart(newest, filled=True, offsets=offsets)
        listing = judge(_listed(settings), found | {part: fits}, settings, new=new, making=part)
    renewed = [each for each in RENEWABLE if each in _parts(settings) and each not in listing.parts]
    place = place_of_part(settings, part)
    old = aside.beside(place, int(time.time()))
    there = aside.move(place, old)
    others = _put_aside(settings, foreign(found, listing))
    try:
        yield old if there else None
    except BaseException:
        for here, now in {place: old, **others}.items():
            aside.remove(here)
            aside.move(now, here)
        raise
    if newest:
        with _turn(settings.data):
            for each in (part, *(renewed if new else ())):
                _stamp(settings, each, stamps.next_stamp(listing.id, listing.start))


def check_store_is_wrong(settings: Settings, *, new: bool = False) -> None:
    """Raises Invalid when the store belongs to the rest: then nobody wants a new one. `new`: as above.

    Raises Misconfigured where the books are wrong instead: a new store would lose what only this one has.
    """
    with _turn(settings.data):
        listed, found = _listed(settings), _found(settings, whole=True)
        try:
            judge(listed, found, settings, new=new)
        except Misconfigured as error:
            if f"`{REBUILD_STATE}" in str(error):
                raise
            return
        raise Invalid(f"{settings.data / STORE} belongs to the rest of the data directory: it stays")


def _put_aside(settings: Settings, parts: Sequence[str]) -> dict[Place, Place]:
    """Where they lie now, by where they lay."""
    moved: dict[Place, Place] = {}
    for part in parts:
        place = place_of_part(settings, part)
        moved[place] = aside.beside(place, int(time.time()))
        aside.move(place, moved[place])
        log.warning("what is of another installation was put aside", part=part, file=str(moved[place]))
    return moved


def place_of_part(settings: Settings, part: str) -> Place:
    """Where it is."""
    if part == META:
        return place_of(settings, "meta")
    return place_of(settings, "state") if part == STATE else settings.data / part


def examine(settings: Settings) -> str:
    """The id, or "" where there is nothing yet; changes nothing. Raises as `prepare`."""
    try:
        if not is_directory(settings.data):
            return ""
    except OSError as error:
        raise _unusable(settings, error) from error
    listed, found = _listed(settings), _found(settings, whole=True)
    judged = judge(listed, found, settings)
    return judged.id if listed or any(each.stamp or each.filled for each in found.values()) else ""


def exists(settings: Settings) -> bool:
    """Whether anything was ever kept there. Raises Misconfigured when that cannot be told."""
    try:
        return any(is_there(settings.data / name) for name in (stamps.NAME, *PARTS))
    except OSError as error:
        raise _unusable(settings, error) from error


def _unusable(settings: Settings, error: OSError) -> Misconfigured:
    return Misconfigured(f"{settings.data} cannot be used: {error.strerror}")


def judge(
    listing: PartListing | None,
    found: Mapping[str, FoundPart],
    settings: Settings,
    *,
    new: bool = False,
    making: str = "",
) -> PartListing:
    """The listing to go on with; `listing` is None where there is none. Raises Misconfigured.

    `making`: the part that is about to be made anew.
    """
    borne = {part: each.stamp for part, each in found.items() if each.stamp}
    if not borne and not (listing and listing.parts):
        _check_unstamped(found, settings, new=new)
        return listing or PartListing(uuid4().hex)
    if listing is None:  # it is gone itself: the parts know what it said
        ((installation, _),) = Counter(stamp.id for stamp in borne.values()).most_common(1)
        newest = max(stamp.start for stamp in borne.values())
        needed = [META, STATE, *borne, *([STORE] if found[STATE].stored else [])]
        listing = PartListing(installation, tuple(part for part in PARTS if part in needed), newest, newest)
    wrong: dict[str, str] = {}
    for part in listing.parts:
        if part not in found:  # a log that is not in the data directory any more
            continue
        problem = problem_of(found[part], listing, borne)
        if part == STATE and not problem:
            problem = behind(
                {name: each for name, each in found.items() if not problem_of(each, listing, borne)}
            )
        if problem:
            wrong[part] = problem
    for part, problem in wrong.items():
        if not (new and part in RENEWABLE):
            way = remedy(part, {*wrong, making})
            raise Misconfigured(f"{place_of_part(settings, part)} {problem}; {way}")
    kept = tuple(part for part in listing.parts if part in found and part not in wrong)
    newest = max([listing.start, *(stamp.start for stamp in borne.values())])
    return msgspec.structs.replace(listing, parts=kept, start=newest)


def _tell_the_log(settings: Settings, found: Mapping[str, FoundPart]) -> None:
    """What is closed is committed in the log before a door writes there.

    A log that was set back, its witness in `log-ends` too, would else use positions again that the
    worker has behind it, and what was acknowledged there would never be read.
    """
    if LOG not in found:
        return
    noted = found[LOG].offsets
    ahead = {shard: at for shard, at in found[STATE].offsets.items() if at > noted.get(shard, -1)}
    try:
        stamps.commit_offsets(settings.data / LOG, ahead)
    except OSError as error:
        log.warning("what is closed could not be noted in the log", problem=str(error.strerror))


def _check_unstamped(found: Mapping[str, FoundPart], settings: Settings, *, new: bool) -> None:
    """A data directory of before there were stamps: taken over if its parts can belong together."""
    state, log_, store = found[STATE], found.get(LOG, stamps.MISSING), found[STORE]
    wrong = ""
    if (not state.filled and (log_.filled or store.filled)) or behind(found):
        wrong = STATE
    elif not store.filled and state.stored:
        wrong = STORE
    elif not found[META].filled and (state.filled or log_.filled or store.filled) and not new:
        wrong = META
    if wrong:
        holder = next(
            part for part in (STORE, STATE, LOG) if part != wrong and part in found and found[part].filled
        )
        problem = found[wrong].problem or "holds nothing"
        place = place_of_part(settings, wrong)
        raise Misconfigured(f"{place} {problem}, but {HOLDS[holder]} of it is there; {REMEDY[wrong]}")


def _listed(settings: Settings) -> PartListing | None:
    try:
        return msgspec.json.decode((settings.data / stamps.NAME).read_bytes(), type=PartListing)
    except (FileNotFoundError, msgspec.DecodeError):  # without it the parts decide
        return None
    except OSError as error:
        raise Misconfigured(f"{settings.data / stamps.NAME} cannot be used: {error.strerror}") from error


def _found(settings: Settings, *, whole: bool, without: str = "") -> dict[str, FoundPart]:
    data = settings.data
    # The log first: what is committed there was closed in the state before.
    found = {LOG: stamps.look_at_log(data / LOG)} if LOG in _parts(settings) else {}
    for part in (META, STATE):
        if part != without:
            found[part] = stamps.look_at_database(place_of_part(settings, part), whole=whole)
    if without != STORE:
        found[STORE] = stamps.look_at_store(data / STORE)
    return found


def _parts(settings: Settings) -> tuple[str, ...]:
    """A log that is kept elsewhere is no part of the data directory."""
    return PARTS if settings.log == "sqlite" else (META, STATE, STORE)


def _stamp(settings: Settings, part: str, stamp: Stamp) -> None:
    if part in (LOG, STORE):
        stamps.stamp_directory(settings.data / part, stamp)
        return
    place = place_of_part(settings, part)
    if isinstance(place, PostgresSchema) or not is_there(place) or place.stat().st_size == 0:
        (open_metadata if part == META else open_state)(place).dispose()
    stamps.stamp_database(place, stamp)


def _write(settings: Settings, listing: PartListing) -> None:
    stamps.write_durably(settings.data / stamps.NAME, msgspec.json.encode(listing))


@contextmanager
def _turn(data: Path) -> Generator[None]:
    """One process at a time compares and stamps."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(data)
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Misconfigured(f"the data directory {data} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
