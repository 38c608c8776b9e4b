"""`GET /v1/pixel.gif?site_id=...`: a page view (or another event) without a script.

Query: `site_id`; `event_type` (default `page_view`); `url` (default: the Referer, which is the page
the image is on; without one, `url` must be a page of the site); `referrer`; `visitor_id`. The image is sent
whatever happens, so that no page shows a broken one; `Footfall-Logged` and the counters say what became
of the event.
"""

from urllib.parse import parse_qs

import structlog
from msgspec import ValidationError, convert

from footfall.collect.append import append
from footfall.collect.asgi import NO_STORE, Scope, Send, header, respond
from footfall.collect.body.incoming import Incoming, explain
from footfall.collect.client import read_caller
from footfall.collect.door import Door
from footfall.collect.pages import PIXEL
from footfall.collect.reasons import reason_of
from footfall.collect.sender import public_site, workspace_of
from footfall.collect.validate import Acceptor, Sender
from footfall.errors import Denied, Invalid, LogFull, Retryable
from footfall.metrics import EVENTS_ACCEPTED
from footfall.model.record import FORMAT_VERSION, Record
from footfall.model.times import now_ms

log = structlog.get_logger(__name__)

FIELDS = {"event_type": "event_type", "url": "page_url", "referrer": "referrer", "visitor_id": "visitor_id"}
"""Its parameters, beside `site_id`: each with the field of the event that it is."""


async def get_pixel(door: Door, scope: Scope, send: Send) -> None:
    """Record the event, durable before the answer says so, and send the image."""
    logged = b"no"
    if scope["method"] == "GET":
        try:
            await _record(door, scope)
            logged = b"yes"
        except (Invalid, Denied, LogFull) as error:
            door.tallies.refuse(reason_of(error))
        except Retryable as error:  # the metadata cannot be asked now
            log.warning("pixel.not_recorded", problem=str(error))
    await respond(send, 200, PIXEL, b"image/gif", [NO_STORE, (b"footfall-logged", logged)])


async def _record(door: Door, scope: Scope) -> None:
    now = now_ms()
    raw = scope["query_string"][:8192].decode("latin-1")
    try:
        query = {name: values[0] for name, values in parse_qs(raw, max_num_fields=50).items()}
    except ValueError:
        raise Invalid("too many query parameters") from None
    referer = header(scope, b"referer").decode("latin-1")
    # A browser may keep the page to itself: then the page that the image is said to be on must be the site's.
    page = referer or query.get("url", "")
    site = await public_site(door, query.get("site_id") or query.get("site") or "", page, required=False)
    caller = read_caller(scope, door.proxies)
    fields = {"event_type": "page_view", "page_url": referer} | {
        ours: query[name] for name, ours in FIELDS.items() if name in query
    }
    try:
        event = convert(fields, Incoming)
    except ValidationError as error:
        raise explain(error) from None
    workspace = await workspace_of(door, site.workspace_id)
    own = door.directory.is_page_of
    sender = Sender(workspace, None, site.id, caller, now, {}, {}, is_page_of=own)
    settings = door.settings
    acceptor = Acceptor(sender, door.visitors, settings.max_past, settings.max_future, settings.max_event)
    accepted = acceptor.accept(event)
    record = Record(FORMAT_VERSION, now, workspace.id, "pixel", [accepted], acceptor.visits)
    await append(door.log, site.id, record)
    EVENTS_ACCEPTED.inc()
