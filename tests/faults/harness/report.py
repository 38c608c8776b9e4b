"""The table of all verdicts."""

from collections.abc import Sequence

from tests.faults.harness.judge import Verdict

HEAD = (
    "fault",
    "rounds",
    "acknowledged",
    "lost",
    "duplicated",
    "ledger balanced",
    "slowest restart",
    "notes",
)


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a Markdown table."""
    rows = [
        (
            verdict.fault,
            str(verdict.rounds),
            f"{verdict.acknowledged:,}",
            f"{verdict.lost:,}",
            f"{verdict.duplicated:,}",
            {True: "yes", False: "NO", None: ""}[verdict.balanced],
            f"{verdict.slowest_restart:.1f} s" if verdict.slowest_restart else "",
            "; ".join([*(f"FAILED: {problem}" for problem in verdict.problems), *verdict.notes]),
        )
        for verdict in verdicts
    ]
    widths = [max(map(len, column)) for column in zip(HEAD[:-1], *(row[:-1] for row in rows), strict=True)]
    lines = [HEAD, tuple("-" * width for width in (*widths, 5)), *rows]
    return "\n".join(
        "| "
        + " | ".join((*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]))
        + " |"
        for line in lines
    )
