"""`GET /{code}`: look the code up, queue the click, send the visitor on.

A redirect needs the link and nothing else: no store, no geo file, no broker. It waits for
the log at most `redirect_cap` (mode durable), or not at all (mode async).
"""

import time

from footfall.collect.asgi import NO_STORE, Scope, Send, header, respond
from footfall.collect.client import Caller, read_caller
from footfall.collect.door import Door
from footfall.collect.pages import EXPIRED, HEADERS, HTML, NOT_FOUND, POLICY
from footfall.enrich.page import merged_campaign
from footfall.metrics import CLICKS_PENDING, REDIRECTS
from footfall.model.ids import format_event_id, uuid7
from footfall.model.record import RawEvent
from footfall.model.times import DAY_MS, now_ms
from footfall.tenants.directory import UNKNOWN
from footfall.tenants.links.targets import with_query
from footfall.tenants.model import DEFAULT_WORKSPACE, Link

_FOUND = REDIRECTS.labels("found")
_EXPIRED = REDIRECTS.labels("expired")
_ORPHAN = REDIRECTS.labels("orphan")
_LOOP = REDIRECTS.labels("loop")
_UNCOUNTED = REDIRECTS.labels("uncounted")

_LONGEST_CODE = 64


async def get_code(door: Door, scope: Scope, send: Send, code: str) -> None:
    """Answer 302 with the click queued (and durable, if it says `Footfall-Logged: yes`), 404 or 410."""
    caller = read_caller(scope, door.proxies)
    domain = door.directory.short_domain(caller.host)
    link = door.directory.cached_link(domain, code) if len(code) <= _LONGEST_CODE else None
    if link is UNKNOWN:
        link = await door.directory.link(domain, code)
    counted = scope["method"] == "GET" and not _is_prefetch(scope)
    if link is None:
        _ORPHAN.inc()
        if counted:
            owner = door.directory.domain_workspace(domain) or DEFAULT_WORKSPACE
            click = _click(door, scope, caller, None, code, owner)
            door.clicks.add(owner, click, door.visitors.visit(caller))
        await respond(send, 404, NOT_FOUND, HTML, HEADERS, POLICY)
        return
    if link.expires_at and link.expires_at <= time.time() * 1000:
        _EXPIRED.inc()
        await respond(send, 410, EXPIRED, HTML, HEADERS, POLICY)
        return
    if door.directory.leads_back(link):
        _LOOP.inc()
        await respond(send, 404, NOT_FOUND, HTML, [NO_STORE])
        return
    target = with_query(link.url, scope["query_string"]) if link.pass_query else link.url
    location = (b"location", target.encode("ascii"))
    if not counted:
        _UNCOUNTED.inc()
        await respond(send, 302, headers=[location, NO_STORE])
        return
    _FOUND.inc()
    click = _click(door, scope, caller, link, code, link.workspace_id)
    group = door.clicks.add(link.workspace_id, click, door.visitors.visit(caller))
    durable = door.wait_for_log and await group.logged()
    if not durable:
        CLICKS_PENDING.inc()
    await respond(
        send,
        302,
        headers=[
            location,
            NO_STORE,
            (b"footfall-logged", b"yes" if durable else b"pending"),
            (b"footfall-event", format_event_id(click.event_id).encode()),
        ],
    )


def _click(
    door: Door, scope: Scope, caller: Caller, link: Link | None, code: str, workspace_id: str
) -> RawEvent:
    """The event of a visit to `code`; an orphan click without a link."""
    now = now_ms()
    visitors = door.visitors
    device = visitors.device(workspace_id, caller, now)
    after_midnight = now % DAY_MS < visitors.session_timeout
    query = scope["query_string"]
    visited = f"{scope['scheme']}://{caller.host}/{code[:_LONGEST_CODE]}"
    return RawEvent(
        uuid7(now),
        "orphan_click" if link is None else "click",
        now,
        visitor_id=device,
        device_hash=device,
        # Of an orphan the host is part of what was asked for; of a link it is known.
        page_url=f"{visited}?{query[:1500].decode('latin-1')}" if query else "" if link else visited,
        referrer=caller.referrer,
        link_id="" if link is None else link.id,
        short_code=code[:_LONGEST_CODE],
        destination_url="" if link is None else link.url,
        utm=None if link is None else merged_campaign(query.decode("latin-1") if query else "", link.url),
        previous_device=visitors.device(workspace_id, caller, now - DAY_MS) if after_midnight else 0,
    )


def _is_prefetch(scope: Scope) -> bool:
    """Browsers say when they fetch a page that nobody asked for yet."""
    for name in (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"):
        value = header(scope, name).lower()
        if b"prefetch" in value or b"preview" in value:
            return True
    return False
