"""The comparison of `verify` for yesterday, every night: a metric, and a line of the log."""

import time
from datetime import UTC, date, datetime
from pathlib import Path

import structlog

from footfall.metrics import VERIFY_FINDINGS, VERIFY_TIMESTAMP
from footfall.runtime.daily import Daily
from footfall.state.ledger import HOUR
from footfall.state.ranges import iso
from footfall.verify.findings import VerifyResult
from footfall.verify.verifier import Verifier

log = structlog.get_logger(__name__)

_SHOWN = 10  # findings that are written to the log


def nightly_verify(verifier: Verifier, data: Path) -> Daily:
    """The job; `data` is the data directory. Its `tick` is to be called every minute or so."""

    async def verify(day: date) -> None:
        start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        report(day, await verifier.run(start, start + 24 * HOUR))

    path = data / "verified.json"
    # What never ran is told by how long it has not: without a time no rule could see it.
    VERIFY_TIMESTAMP.set(path.stat().st_mtime if path.exists() else time.time())
    return Daily("verify", path, verify)


def report(day: date, result: VerifyResult) -> None:
    """Make the result of a day known."""
    VERIFY_FINDINGS.set(result.errors)
    VERIFY_TIMESTAMP.set_to_current_time()
    said = {"day": day.isoformat(), "unreadable_records": result.unreadable}
    if not result.total:
        tell = log.warning if result.unreadable else log.info
        tell("verify.ok", **said, rows=sum(site.rows for site in result.sites))
        return
    tell = log.error if result.errors else log.warning
    tell("verify.findings", **said, errors=result.errors, total=result.total)
    for each in result.findings[:_SHOWN]:
        tell(
            "verify.finding",
            level_of=each.level,
            check=each.check,
            workspace=each.workspace_id,
            site=each.site_id,
            hour=iso(each.hour),
            expected=each.expected,
            found=each.found,
            examples=each.examples,
        )
