"""The sample file: one hour of real clicks on short links, and the same hour moved to now."""

import json
from collections.abc import Sequence
from pathlib import Path

from footfall.errors import Misconfigured

NAME = "usagov_clicks.jsonl"


def find(given: Path | None) -> Path:
    """The sample file: `given`, or that of the source tree. Raises Misconfigured."""
    if given is not None:
        if not given.is_file():
            raise Misconfigured(f"{given} is not there")
        return given
    for root in (Path(__file__).parents[3], Path()):
        path = root / "examples" / "data" / NAME
        if path.is_file():
            return path
    raise Misconfigured(
        f"the demo's sample data, examples/data/{NAME}, is part of the source tree, not of the installed "
        "package: run the demo from a checkout, or give the file with --sample"
    )


def write_moved(source: Path, target: Path, ends: int | None) -> None:
    """Copy the file, all clicks later by the same time, so that the last is at `ends` (Unix seconds).

    `None` keeps the times of the file.
    """
    lines = source.read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.strip()]
    shift = 0 if ends is None else ends - max(_times(entries))
    with target.open("w", encoding="utf-8") as out:
        for entry in entries:
            if "t" in entry:
                entry["t"] += shift
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _times(entries: Sequence[dict[str, int]]) -> list[int]:
    return [entry["t"] for entry in entries if "t" in entry] or [0]
