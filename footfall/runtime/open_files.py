"""How many files, and so connections, a process may open: usually 1,024, unless it asks for more."""

import resource

from footfall.errors import Misconfigured

WANTED = 65_536
FEWEST = 256
"""With fewer the store fails somewhere in the middle of its work, sooner or later."""


def check_limit() -> None:
    """Raise the limit. Raises Misconfigured where it stays too low to run at all."""
    limit = raise_limit()
    if limit < FEWEST:
        raise Misconfigured(f"this process may open {limit} files (ulimit -Hn); at least {FEWEST} are needed")


def raise_limit() -> int:
    """Raise this process's limit as far as it may and is wanted. Returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft
