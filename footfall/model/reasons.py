"""Why an event or a request was refused: a closed list, counted by reason in the ledger."""

from enum import StrEnum


class Reason(StrEnum):
    """The first concern whole requests, the rest single events."""

    UNREADABLE = "unreadable"  # no JSON, no gzip, or broken off
    TOO_LARGE = "too_large"  # body, inflated body, or too many events
    NO_KEY = "no_key"  # neither a key nor a site
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_SITE = "unknown_site"
    FORBIDDEN = "forbidden"  # the key may not write, or not to this site
    ORIGIN = "origin"  # the site does not list this origin
    RATE_LIMITED = "rate_limited"
    DUPLICATE = "duplicate"  # the id stood in the same request already
    LOG_FULL = "log_full"  # answered with 503; the client keeps the events
    OVERFLOW = "overflow"  # acknowledged, and dropped from a full log: only with overflow = "drop_oldest"
    CLICK_UNLOGGED = "click_unlogged"  # lost: the log did not take it while there was memory and time
    CLICK_TOO_LARGE = "click_too_large"  # lost: no record of the log could hold it
    CLICK_STOPPED = "click_stopped"  # as CLICK_UNLOGGED, booked after the door had ended: not in the log
    NOT_AN_EVENT = "not_an_event"  # not a JSON object
    MISSING_EVENT_TYPE = "missing_event_type"
    INVALID_FIELD = "invalid_field"
    INVALID_PROPERTY = "invalid_property"
    EVENT_TOO_LARGE = "event_too_large"
    HEARTBEAT = "heartbeat"  # a line of an imported file that is no event
    BAD_LINE = "bad_line"  # a line of an imported file that cannot be read
    PERHAPS_IMPORTED = "perhaps_imported"  # beside lines that were, of a time whose events are deleted by age
    METHOD = "method"  # a line of an access log: not a GET
    STATUS = "status"  # a line of an access log: an error, or a redirect by no link of ours
    ASSET = "asset"  # a line of an access log: an image, a style, a download


LOSSES = frozenset({Reason.CLICK_UNLOGGED, Reason.CLICK_TOO_LARGE})
"""Why an event is lost that a tally in the log accounts for."""
