"""Plain text to whoever started us. What happens inside a server goes to its log instead (logs.py)."""

import json
import sys
from datetime import UTC, datetime


def say(text: str) -> None:
    """To standard output: what was asked for."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """To standard error: what the user should know besides."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def failed(text: str, *, role: bool) -> None:
    """Why a command ends. A server that has no terminal says it as a line of its log, in JSON."""
    if not role or sys.stderr.isatty():
        warn(f"footfall: {text}")
        return
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    warn(
        json.dumps(
            {"event": "failed", "problem": text, "level": "error", "timestamp": at}, ensure_ascii=False
        )
    )
