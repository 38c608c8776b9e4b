"""Plain text to whoever started us. What happens inside a server goes to its log instead (logs.py)."""

import sys


def say(text: str) -> None:
    """To standard output: what was asked for."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """To standard error: what the user should know besides."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
