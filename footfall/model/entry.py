"""What an event's row says of the visit it belongs to: the ONE list.

A visit is one on a site. Its facts are those of its first event there; its page is that of its
first page view there.
"""

from collections.abc import Mapping

ENTRY_OF: Mapping[str, str] = {
    "entry_page": "page_path",
    "entry_referrer_host": "referrer_host",
    "entry_channel": "channel",
    "entry_utm_source": "utm_source",
    "entry_utm_medium": "utm_medium",
    "entry_utm_campaign": "utm_campaign",
    "entry_utm_term": "utm_term",
    "entry_utm_content": "utm_content",
    "entry_country_code": "country_code",
    "entry_device_type": "device_type",
}
"""The column of the visit's fact, and the column of its first event that says it."""

Facts = tuple[str, ...]
"""The facts of one visit, in the order of ENTRY_OF."""

PAGE_VIEW, CLICK, ENGAGEMENT = "page_view", "click", "engagement"
"""Types of events: a click is an entry of its own; an engagement says more of a page view that was."""
