"""How sure a share is."""

from math import sqrt

_Z = 1.959963984540054  # of 95 %


def wilson(successes: float, trials: float) -> tuple[float, float] | None:
    """The 95 % interval of a share (E. B. Wilson, 1927), which also fits few trials and shares near 0.

    None without trials, and where there are more successes than trials: that is no share.
    """
    if not 0 <= successes <= trials or not trials:
        return None
    share, square = successes / trials, _Z * _Z
    middle = share + square / (2 * trials)
    reach = _Z * sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
