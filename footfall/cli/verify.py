"""`footfall verify`: whether the store holds what the ledger and the log say, as tables in the terminal."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from rich.console import Console as Terminal
from rich.progress import Progress
from rich.table import Table

from footfall.cli.console_client import Console, console
from footfall.cli.options import Data, Key, Url
from footfall.cli.sites import named, site_names
from footfall.cli.tables import add, table, terminal
from footfall.errors import FootfallError
from footfall.settings import load
from footfall.state.ranges import iso, resolve

_SHOWN = 50  # findings
_STOPPED = 130  # exit status after Ctrl-C, as shells have it
_FIGURES = (
    "received",
    "stored",
    "rows",
    "rows_in_flight",
    "duplicate",
    "rejected",
    "dead_lettered",
    "dropped",
    "lost",
    "log_received",
    "log_missing",
)
_LOST = ("stored", "missing")  # checks by which events of a month are lost
_FINDING = ("level", "check", "site_id", "hour", "expected", "found", "examples")


def verify(
    *,
    start: Annotated[str | None, Parameter(help="First day or hour of receipt. [default: yesterday]")] = None,
    end: Annotated[
        str | None, Parameter(help="Last day, or the hour before which to end. [default: now]")
    ] = None,
    repair: Annotated[
        bool,
        Parameter(
            negative="",
            help="Then build months whose rollups are wrong again from the events, if all are there.",
        ),
    ] = False,
    data: Data = None,
    url: Url = None,
    key: Key = None,
) -> int:
    """Compare the store with the ledger and the log, over the hours in which events were received.

    Exit status 1 when something breaks a promise, or the server stops answering, 130 when it was stopped
    (Ctrl-C): then it says what it has found by then. Times without an offset are UTC. Asks the server that
    runs on the data directory, or at --url; where none runs, it opens the data itself.
    """
    first, last = resolve(start, end, datetime.now(UTC))
    return asyncio.run(_verify(first, last, data, url, key, repair=repair))


async def _verify(
    first: int, last: int, data: Data, url: str | None, key: str | None, *, repair: bool
) -> int:
    async with console(load(data=data), url, key) as server:
        answers: list[dict[str, Any]] = []
        names = await site_names(server)
        stop = await _compare(server, first, last, answers)
        rebuilt = await _repair(server, answers) if repair and stop is None else []
    shown = terminal()
    through = f"{iso(first)} to {answers[-1]['meta']['end'] if answers else iso(first)}"
    shown.print(f"received {through if stop else f'{iso(first)} to {iso(last)}'}", highlight=False)
    if stop:
        said = f"{stop.why}: what follows is of {through} only, not up to {iso(last)}"
        shown.print(said, markup=False, highlight=False)
    shown.print(_sites(answers, names))
    findings = [each for answer in answers for each in answer["data"]["findings"]]
    total = sum(answer["data"]["total"] for answer in answers)
    if findings:
        shown.print(_findings(findings[:_SHOWN], names))
        if total > _SHOWN:
            shown.print(f"and {total - _SHOWN:,} more", style="dim", highlight=False)
    log_from = max((answer["meta"]["log_from"] or "" for answer in answers), default="")
    if log_from:
        shown.print(f"Note: the log holds everything only from {log_from} on", style="dim", markup=False)
    for note in dict.fromkeys(note for answer in answers for note in answer["meta"]["notes"]):
        shown.print(f"Note: {note}", style="dim", markup=False)
    if unreadable := sum(answer["meta"]["unreadable_records"] for answer in answers):
        said = f"{unreadable:,} records of the log cannot be read: how many events they hold is unknown"
        shown.print(f"Note: {said}", style="dim", markup=False, highlight=False)
    for line in rebuilt:
        shown.print(line, markup=False, highlight=False)
    ok = all(answer["data"]["ok"] for answer in answers)
    if stop and ok:
        shown.print("what was compared adds up")
        return stop.status
    shown.print("all of it adds up" if ok else "it does NOT add up")
    return 0 if ok else 1


class _Stop(NamedTuple):
    """Why not all was compared, and the exit status for that."""

    why: str
    status: int


async def _compare(server: Console, first: int, last: int, answers: list[dict[str, Any]]) -> _Stop | None:
    """Ask for one piece after the other, each of which answers soon; None if all of it was compared.

    Raises what the first question raises; after an answer there is something to tell.
    """
    shown = Terminal(stderr=True)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        bar = progress.add_task("comparing", total=None)
        try:
            found = await server.get("/api/v1/verify/pieces", start=iso(first), end=iso(last))
            progress.update(bar, total=sum(each["rows"] for each in found["data"]))
            for each in found["data"]:
                progress.update(bar, description=each["start"])
                answers.append(await server.get("/api/v1/verify", start=each["start"], end=each["end"]))
                if answers[-1]["meta"]["end"] != each["end"]:
                    return _Stop("the server was stopped", 1)
                progress.update(bar, advance=each["rows"])
        except asyncio.CancelledError:  # Ctrl-C
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return _Stop("stopped", _STOPPED)
        except FootfallError as error:
            if not answers:
                raise
            return _Stop(f"stopped, {error}", 1)
    return None


async def _repair(server: Console, answers: list[dict[str, Any]]) -> list[str]:
    """Build the months again of which a rollup is wrong, and no event is lost. What was done, in words."""
    findings = [each for answer in answers for each in answer["data"]["findings"]]
    wrong = {each["hour"][:7] for each in findings if each["check"] == "rollups"}
    lost = {each["hour"][:7] for each in findings if each["check"] in _LOST}
    done: list[str] = []
    for month in sorted(wrong):
        if month in lost:
            done.append(
                f"the rollups of {month} stay as they are: events of that month are lost, and what rollups"
                " still say cannot be made again of those that are left; a backup has them"
            )
            continue
        try:
            made = await server.post("/api/v1/rollups/rebuild", {"month": month}, patient=True)
        except FootfallError as error:
            done.append(f"the rollups of {month} stay as they are: {error}")
        else:
            done.append(f"the rollups of {month} were built again from {made['events']:,} events")
    return done


def _sites(answers: list[dict[str, Any]], names: Mapping[str, str]) -> Table:
    sums: dict[str, dict[str, int]] = {}
    for answer in answers:
        for site in answer["data"]["sites"]:
            line = sums.setdefault(site["site_id"], dict.fromkeys(_FIGURES, 0))
            for name in _FIGURES:
                line[name] += site[name]
    figures = [name for name in _FIGURES if name in _FIGURES[:3] or any(line[name] for line in sums.values())]
    made = table("site", *figures, right=figures)
    for site in sorted(sums):
        add(made, named(site, names), *(sums[site][name] for name in figures))
    return made


def _findings(findings: list[dict[str, Any]], names: Mapping[str, str]) -> Table:
    made = table(*("site" if name == "site_id" else name for name in _FINDING))
    for each in findings:
        words = each | {"site_id": named(each["site_id"], names), "examples": "\n".join(each["examples"])}
        add(made, *(words[name] for name in _FINDING))
    return made
