"""How many files, and so connections, a process may open: usually 1,024, unless it asks for more."""

import resource

WANTED = 65_536


def raise_limit() -> int:
    """Raise this process's limit as far as it may and is wanted. Returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft
