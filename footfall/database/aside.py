"""Putting a part of an installation aside: a file, a directory, or a schema. Nothing may use it meanwhile."""

import shutil
from contextlib import suppress
from pathlib import Path

from footfall.database.places import Place, PostgresSchema
from footfall.runtime.presence import is_directory, is_there


def _files(path: Path) -> tuple[Path, Path]:
    """A journal belongs to its database: beside another one it would be played into that."""
    return path, path.with_name(f"{path.name}-journal")


def beside(place: Place, now: int) -> Place:
    """Where it goes: `now` (Unix seconds) is in the name."""
    if isinstance(place, Path):
        return place.with_name(f"{place.name}.old-{now}")
    return place._replace(schema=f"{place.schema}_old_{now}")


def move(old: Place, new: Place) -> bool:
    """Whether there was anything to move."""
    if isinstance(old, PostgresSchema) and isinstance(new, PostgresSchema):
        from footfall.database import postgres  # noqa: PLC0415 -- nobody else needs its client

        return postgres.rename(old, new)
    assert isinstance(old, Path)
    assert isinstance(new, Path)
    there = is_there(old)
    for source, target in zip(_files(old), _files(new), strict=True):
        with suppress(FileNotFoundError):
            source.rename(target)
    return there


def remove(place: Place) -> None:
    """Delete it, with all that is in it."""
    if isinstance(place, PostgresSchema):
        from footfall.database import postgres  # noqa: PLC0415 -- nobody else needs its client

        postgres.drop(place)
        return
    for path in _files(place):
        if is_directory(path):
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
