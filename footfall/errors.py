"""The errors of Footfall, a tree small enough to draw.

    FootfallError
    ├── Invalid        the input is wrong and will stay wrong; names the field and what is allowed
    │   └── TooLarge       it is more than is taken at once
    ├── Denied         no key, a wrong key, or a key that may not do this
    ├── NotFound       no such thing in this workspace
    ├── Conflict       the thing exists already, or belongs to somebody else
    ├── Retryable      the same call may succeed later
    │   ├── LogFull        the log cannot take more now
    │   ├── TooMany        this key asks too much at once
    │   ├── Damaged        a database has damaged pages; it succeeds once a backup is back
    │   └── StoreDown      the store did not answer, or the outcome of an insert is unknown
    │       ├── RowRefused     the store refuses a row of the batch, now and later
    │       └── TooSlow        a question of the house needs more time or memory than even the house has
    └── Misconfigured  this installation cannot run as it is set up

`Retryable` and `Invalid` are apart because they are handled apart: the first is answered
with 503 and `Retry-After` and tried again, the second is refused and counted.
"""


class FootfallError(Exception):
    """Base of all errors that Footfall raises on purpose."""


class Invalid(FootfallError):
    """Input that is refused.

    `field` names what is wrong as the caller wrote it ("" when it is the whole request);
    the message says what is allowed.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TooLarge(Invalid):
    """A body, event or list beyond a limit; the message says the limit."""


class Denied(FootfallError):
    """The caller has no key, an unknown key (`known=False`), or one without the scope."""

    def __init__(self, message: str, *, known: bool = False) -> None:
        super().__init__(message)
        self.known = known


class NotFound(FootfallError):
    """There is no such thing, or none that this workspace may see: the two look the same."""


class Conflict(FootfallError):
    """The name is taken."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Retryable(FootfallError):
    """Nothing is wrong with the request; try again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LogFull(Retryable):
    """The log refuses records (disk full, size cap, queue full). Nothing of the append is safe."""


class TooMany(Retryable):
    """The caller asks too much at once."""


class Damaged(Retryable):
    """A database cannot be read where it is damaged; the message names the file."""


class StoreDown(Retryable):
    """The store failed, or did not say whether it stored the rows."""


class RowRefused(StoreDown):
    """The store refuses one of the rows; which of the others it has is not certain."""


class TooSlow(StoreDown):
    """A question of housekeeping or of the worker needs more than even they may have."""


class Misconfigured(FootfallError):
    """The installation cannot run as it is set up; the message says what to change."""
