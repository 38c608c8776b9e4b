"""What `verify` answers: figures for each site, and everything that does not add up."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from footfall.state.dead_letters.letter import format_position

Level = Literal["error", "warning"]
"""An `error` breaks a promise of docs/guarantees.md; a `warning` lies within its limits."""

Check = Literal[
    "balance",  # received, and the sum of the outcomes
    "dead_letters",  # dead-lettered by the ledger, and letters kept
    "stored",  # stored by the ledger, and rows in the store
    "doubled_position",  # rows that share one position with others
    "doubled_id",  # rows that share their client's id with others
    "out_of_plan",  # rows at positions that no closed record and no open plan has
    "received",  # received by the ledger, and events and refusals in the log
    "log_end",  # the last closed record, and the last of them that the log holds, by offset
    "missing",  # duplicates and discarded events, and events of the log that are not stored
    "rollups",  # events, or visitors, of a bucket by the events and by the rollups
    "not_a_duplicate",  # events that were left out, though no other with their id is stored
]

Key = tuple[str, str, int]
"""Workspace, site, hour of receipt (ms since 1970 UTC)."""

Position = tuple[int, int]
"""Shard and seq."""

RETAINED = "retention deleted raw events of some of these hours: those were not compared"
"""A note."""

FIRSTS_UNKNOWN = "retention may have deleted the first copies of some duplicates: those were not compared"
"""A note."""

MOST_FINDINGS = 1000
EXAMPLES = 5


class Finding(Struct, frozen=True, kw_only=True):
    """Two numbers that should be equal. `hour` in ms since 1970 UTC; `examples` are positions or ids."""

    level: Level
    check: Check
    workspace_id: str
    site_id: str
    hour: int
    expected: int
    found: int
    examples: tuple[str, ...] = ()


class SiteFigures(Struct, kw_only=True):
    """The events of one site that were received in the range: by the ledger, the store and the log.

    `log_missing`: how many of those in the log are not in the store.
    """

    workspace_id: str
    site_id: str
    received: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    lost: int = 0
    rows: int = 0
    rows_in_flight: int = 0
    log_received: int = 0
    log_missing: int = 0


class VerifyResult(Struct, kw_only=True):
    """`start` and `end` (exclusive) in ms, whole hours. `findings` lists at most 1000 of `total`.

    `log_from`: the log holds everything received from here on, so that an earlier hour was only
    compared as far as the log still goes. `notes` say what was not compared.
    `unreadable`: records of the log that cannot be read, or could not when they were taken: whose they
    are, and how many events they hold, nobody knows.
    """

    start: int
    end: int
    sites: list[SiteFigures]
    findings: list[Finding]
    total: int
    log_from: int
    notes: list[str]
    unreadable: int = 0

    @property
    def errors(self) -> int:
        """How many of the findings listed break a promise."""
        return sum(finding.level == "error" for finding in self.findings)


def merge(results: Iterable[VerifyResult]) -> VerifyResult:
    """One result for ranges that follow each other. Raises ValueError when there is none."""
    first, *others = results
    sites = {(site.workspace_id, site.site_id): site for site in first.sites}
    merged = VerifyResult(
        start=first.start,
        end=first.end,
        sites=[],
        findings=list(first.findings),
        total=first.total,
        log_from=first.log_from,
        notes=list(first.notes),
        unreadable=first.unreadable,
    )
    for other in others:
        for site in other.sites:
            known = sites.setdefault((site.workspace_id, site.site_id), site)
            if known is not site:
                _add(known, site)
        merged.end = other.end
        merged.findings = (merged.findings + other.findings)[:MOST_FINDINGS]
        merged.total += other.total
        merged.unreadable += other.unreadable
        merged.log_from = max(merged.log_from, other.log_from)
        merged.notes += [note for note in other.notes if note not in merged.notes]
    merged.sites = [sites[name] for name in sorted(sites)]
    return merged


def figures(
    counts: dict[Key, Counter[str]], rows: dict[Key, tuple[int, int]], log: dict[Key, tuple[int, int]]
) -> list[SiteFigures]:
    """Sums by site: of the ledger's outcomes, of rows (closed, open), of the log (received, missing)."""
    sites: dict[tuple[str, str], SiteFigures] = {}
    for workspace_id, site_id, hour in counts.keys() | rows.keys() | log.keys():
        site = sites.setdefault(
            (workspace_id, site_id), SiteFigures(workspace_id=workspace_id, site_id=site_id)
        )
        key = (workspace_id, site_id, hour)
        outcomes = counts.get(key, Counter[str]())
        closed, in_flight = rows.get(key, (0, 0))
        received, missing = log.get(key, (0, 0))
        _add(
            site,
            SiteFigures(
                workspace_id=workspace_id,
                site_id=site_id,
                received=outcomes["received"],
                stored=outcomes["stored"],
                duplicate=outcomes["duplicate"],
                rejected=outcomes["rejected"],
                dead_lettered=outcomes["dead_lettered"],
                dropped=outcomes["dropped"],
                lost=outcomes["lost"],
                rows=closed,
                rows_in_flight=in_flight,
                log_received=received,
                log_missing=missing,
            ),
        )
    return [sites[name] for name in sorted(sites)]


def finding(
    check: Check,
    key: Key,
    expected: int,
    found: int,
    examples: tuple[str, ...] = (),
    level: Level = "error",
) -> Finding:
    """The finding of one (workspace, site, hour)."""
    workspace_id, site_id, hour = key
    return Finding(
        level=level,
        check=check,
        workspace_id=workspace_id,
        site_id=site_id,
        hour=hour,
        expected=expected,
        found=found,
        examples=examples,
    )


def positions(places: Iterable[Position]) -> tuple[str, ...]:
    """A few positions as they are written elsewhere."""
    return tuple(format_position(shard, seq) for shard, seq in sorted(places)[:EXAMPLES])


def _add(site: SiteFigures, more: SiteFigures) -> None:
    for name in SiteFigures.__struct_fields__[2:]:
        setattr(site, name, getattr(site, name) + getattr(more, name))
