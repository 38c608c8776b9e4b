"""From an error at the door to its reason in the ledger."""

from footfall.collect.body.incoming import MissingEventType
from footfall.errors import Denied, Invalid, LogFull, TooLarge, TooMany
from footfall.model.reasons import Reason


class RefusedEvent(Invalid):
    """An event is refused, for a reason of the closed list."""

    def __init__(self, reason: Reason, message: str, field: str = "") -> None:
        super().__init__(message, field=field)
        self.reason = reason


class NoKey(Denied):
    """Neither a key nor a site."""


class WrongOrigin(Denied):
    """The page is not one of the site's."""


def event_reason(error: Invalid) -> Reason:
    """Why one event could not be decoded."""
    if isinstance(error, MissingEventType):
        return Reason.MISSING_EVENT_TYPE
    if isinstance(error, TooLarge):
        return Reason.EVENT_TOO_LARGE
    return Reason.INVALID_FIELD if error.field else Reason.NOT_AN_EVENT


def reason_of(error: Invalid | Denied | LogFull | TooMany) -> Reason:
    """Why a whole request is refused."""
    match error:
        case RefusedEvent():
            return error.reason
        case TooLarge():
            return Reason.TOO_LARGE
        case Invalid():
            return Reason.UNREADABLE
        case LogFull():
            return Reason.LOG_FULL
        case TooMany():
            return Reason.RATE_LIMITED
        case WrongOrigin():
            return Reason.ORIGIN
        case NoKey():
            return Reason.NO_KEY
        case Denied(known=True):
            return Reason.FORBIDDEN
        case _:
            return Reason.UNKNOWN_KEY
