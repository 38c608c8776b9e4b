"""What a site's public id may say: whoever reads a page's source could say it a million times."""

from footfall.collect.body.incoming import Incoming
from footfall.collect.reasons import RefusedEvent
from footfall.model.kinds import Conversion
from footfall.model.reasons import Reason

LONG = 2048
"""Characters that are kept of page_url, referrer and destination_url, with a key, too."""

_PUBLIC = 8192  # bytes of the long texts of one event without a key; what is ASCII always fits

# What the door itself records of its links: figures that no stranger may make up.
_KEYED_KINDS = frozenset({"click", "orphan_click"})


def check_public(event: Incoming) -> None:
    """Raises RefusedEvent for what only a key may say."""
    if event.event_type in _KEYED_KINDS:
        raise _needs_key("event_type", f"events of type {event.event_type}")
    if event.link_id:
        raise _needs_key("link_id", "events of a link")
    if event.short_code:
        raise _needs_key("short_code", "events of a link")
    if event.sample_weight != 1:
        raise _needs_key("sample_weight", "a weight other than 1")
    if event.event_version != 1:
        raise _needs_key("event_version", "a version other than 1")
    # A character may be four bytes, and compresses well: the disk is to grow by what is told, not by more.
    size = sum(
        size_of(text[:LONG]) for text in (event.page_url, event.referrer, event.destination_url) if text
    )
    if size > _PUBLIC:
        raise RefusedEvent(
            Reason.EVENT_TOO_LARGE,
            f"page_url, referrer and destination_url: {size} bytes; {_PUBLIC} are allowed without a key",
            "page_url",
        )


def check_public_value(conversion: Conversion) -> None:
    """No stranger takes revenue away. Raises RefusedEvent."""
    if conversion.value_minor is not None and conversion.value_minor < 0:
        raise _needs_key("properties.value_minor", "an amount below 0")


def size_of(text: str) -> int:
    """The bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _needs_key(field: str, what: str) -> RefusedEvent:
    return RefusedEvent(Reason.FORBIDDEN, f"{field}: {what} may be sent with a key only", field)
