"""Why an event or a request was refused or lost: a closed list, counted by reason in the ledger."""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """What senders and the ledger see: up to RATE_LIMITED of whole requests, then of single events."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    NO_KEY = "no_key"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_SITE = "unknown_site"
    FORBIDDEN = "forbidden"
    ORIGIN = "origin"
    RATE_LIMITED = "rate_limited"
    DUPLICATE = "duplicate"
    LOG_FULL = "log_full"
    OVERFLOW = "overflow"
    CLICK_UNLOGGED = "click_unlogged"
    CLICK_TOO_LARGE = "click_too_large"
    CLICK_STOPPED = "click_stopped"
    NOT_AN_EVENT = "not_an_event"
    MISSING_EVENT_TYPE = "missing_event_type"
    INVALID_FIELD = "invalid_field"
    INVALID_PROPERTY = "invalid_property"
    EVENT_TOO_LARGE = "event_too_large"
    HEARTBEAT = "heartbeat"
    BAD_LINE = "bad_line"
    PERHAPS_IMPORTED = "perhaps_imported"
    METHOD = "method"
    STATUS = "status"
    ASSET = "asset"
    DIRECTIVE = "directive"


MEANINGS: Mapping[Reason, str] = {
    Reason.UNREADABLE: "The body is no JSON, no gzip, or is broken off.",
    Reason.TOO_LARGE: "The body, the inflated body, or the number of events is too large.",
    Reason.NO_KEY: "There is neither a key nor a site.",
    Reason.UNKNOWN_KEY: "The key is unknown, or was revoked.",
    Reason.UNKNOWN_SITE: "There is no such site.",
    Reason.FORBIDDEN: "The key may not write, or not to this site; without a key: not this field.",
    Reason.ORIGIN: "The site does not list the origin of the page.",
    Reason.RATE_LIMITED: "Too many requests; send them again after `Retry-After` seconds.",
    Reason.DUPLICATE: "The same id stands in the same request already.",
    Reason.LOG_FULL: "The log takes no more: answered with 503, and the client keeps the events.",
    Reason.OVERFLOW: 'Acknowledged, and dropped from a full log; only with `overflow = "drop_oldest"`.',
    Reason.CLICK_UNLOGGED: "Lost: the log did not take the click while there was memory and time.",
    Reason.CLICK_TOO_LARGE: "Lost: no record of the log could hold the click.",
    Reason.CLICK_STOPPED: "As `click_unlogged`, booked after the door had ended; not in the log.",
    Reason.NOT_AN_EVENT: "The event is not a JSON object.",
    Reason.MISSING_EVENT_TYPE: "The event has no `event_type`.",
    Reason.INVALID_FIELD: "A field has a wrong type or value; the verdict names it.",
    Reason.INVALID_PROPERTY: "A property has a wrong type or value; the verdict names it.",
    Reason.EVENT_TOO_LARGE: "The event, encoded, is larger than `max_event`.",
    Reason.HEARTBEAT: "A line of an imported file that is no event.",
    Reason.BAD_LINE: "A line of an imported file that cannot be read.",
    Reason.PERHAPS_IMPORTED: "A line that may have been imported before: its events are deleted by age.",
    Reason.METHOD: "A line of an access log whose method is not `GET`.",
    Reason.STATUS: "A line of an access log about an error, or a redirect by no link of the workspace.",
    Reason.ASSET: "A line of an access log about an image, a style or a download.",
    Reason.DIRECTIVE: "A line of an access log about the log itself (`#Fields: ...`).",
}
"""What the documentation says of each."""

LOSSES = frozenset({Reason.CLICK_UNLOGGED, Reason.CLICK_TOO_LARGE})
"""Why an event is lost that a tally in the log accounts for."""

DAMAGED = "damaged"
UNDECODABLE = "undecodable"
NEWER_FORMAT = "newer_format"
OF_WHOLE_RECORDS = (DAMAGED, UNDECODABLE, NEWER_FORMAT)
"""Reasons of letters that stand for a record: its bytes are lost, are no record, or not for this version."""

MALFORMED = "malformed"
"""Reason of letters of messages of a topic that are no events: they say where those are, and no more."""
