"""A chunk of an access log -> its requests, and then the events that they are."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from footfall.enrich.page import merged_campaign
from footfall.imports.access_log.lines import Directive, LineReader
from footfall.imports.access_log.request import LONG, Request, identity, identity_of_text, none_if_dash, text
from footfall.imports.access_log.rules import NO_PAGES, REDIRECT_STATUS, Pages, judge
from footfall.imports.access_log.visitors import ChunkVisitors
from footfall.imports.clicks.chunk import Refusals, event_id
from footfall.imports.clicks.line import RefusedLine
from footfall.imports.intake import ImportedEvent
from footfall.model.reasons import Reason
from footfall.model.record import RawEvent
from footfall.model.times import now_ms
from footfall.tenants.model import Link

AHEAD_MS = 300_000  # what is later than this is no time of a request: as at the door

_CODE = re.compile("/([A-Za-z0-9_-]{1,64})/*")
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::[0-9]{1,5})?")

_LONGEST_HOST = 253

Place = tuple[str, str]
"""Where a link may be: (host, code)."""


class Hit(Struct, frozen=True, gc=False):
    """A request of a line. `path` and `query` are those of its target; `place` of a link it may be by."""

    line: int
    request: Request
    identity: bytes
    host: str
    path: str
    query: str
    place: Place | None


class Target(NamedTuple):
    """What the hits are imported as. `origin`: where the site is ("https://www.example.com"), or "".

    `fallback` is another one, for lines that do not name a host themselves. `pages`: what is a page although
    it looks like a file. `is_page_of`: whether a URL is a page of a site.
    """

    secret: bytes
    site_id: str
    origin: str
    fallback: str
    pages: Pages = NO_PAGES
    is_page_of: Callable[[str, str], bool] = lambda _url, _site_id: False


class Hits:
    """What was read of a chunk: each line's identity, the requests, and the lines that are none."""

    def __init__(self) -> None:
        self.identities: list[bytes] = []
        self.hits: list[Hit] = []
        self.refusals = Refusals()

    @property
    def places(self) -> set[Place]:
        """Where links must be looked for."""
        return {hit.place for hit in self.hits if hit.place}


def line_identity(line: str) -> bytes:
    """What tells a line of an access log from others: nothing that an address is part of."""
    return LineReader()(line)


def read(lines: Sequence[str], reader: LineReader | None = None) -> Hits:
    """Read all lines of a chunk. Nothing in them is an error, and no text says what was in them."""
    hits = Hits()
    reader = reader or LineReader()
    latest = now_ms() + AHEAD_MS
    for index, line in enumerate(lines):
        try:
            request = reader.parse(line)
        except ValueError as error:
            hits.identities.append(identity_of_text(line))
            reason = Reason.DIRECTIVE if isinstance(error, Directive) else Reason.BAD_LINE
            hits.refusals.add(index, RefusedLine(reason, str(error)))
            continue
        name = identity(request)
        hits.identities.append(name)
        if request.at > latest:
            hits.refusals.add(index, RefusedLine(Reason.BAD_LINE, "the time is in the future"))
        else:
            hits.hits.append(_hit(index, request, name))
    return hits


def events(
    hits: Hits,
    occurrences: Sequence[int],
    target: Target,
    links: Mapping[Place, Link],
    visitors: ChunkVisitors,
) -> list[ImportedEvent]:
    """The clicks and page views among the hits; what is neither is added to the refusals."""
    found: list[ImportedEvent] = []
    for hit in hits.hits:
        link = links.get(hit.place) if hit.place else None
        request = hit.request
        outcome = judge(request.method, hit.path, request.status, link is not None, hit.query, target.pages)
        if isinstance(outcome, Reason):
            hits.refusals.add(hit.line, RefusedLine(outcome, ""))
            continue
        device = visitors.device(request.address, request.user_agent, request.at)
        origin = target.origin or (f"https://{hit.host}" if hit.host else target.fallback)
        event = RawEvent(
            event_id=event_id(target.secret, _named(hit, outcome, target.site_id), occurrences[hit.line]),
            event_type=outcome,
            occurred_at=request.at,
            visitor_id=device,
            device_hash=device,
            referrer=text(none_if_dash(request.referrer), LONG),
            previous_device=visitors.previous_device(request.address, request.user_agent, request.at),
            own_referrer=target.is_page_of(request.referrer, target.site_id),
        )
        if outcome == "click" and link is not None:
            event.link_id, event.short_code, event.destination_url = link.id, link.code, link.url
            event.page_url = text(f"{origin}{hit.path}?{hit.query}", LONG) if hit.query else ""
            event.utm = merged_campaign(hit.query, link.url)
        else:
            event.site_id = target.site_id
            event.page_url = text(f"{origin}{hit.path}{'?' if hit.query else ''}{hit.query}", LONG)
        found.append(ImportedEvent(hit.line, event, visitors.visit(request.address, request.user_agent)))
    return found


def _hit(index: int, request: Request, name: bytes) -> Hit:
    target, host = request.target, request.host
    if not target.startswith("/") and "://" in target:  # as a proxy is asked
        host, _, rest = target.partition("://")[2].partition("/")
        target = "/" + rest
    path, _, query = target.partition("#")[0].partition("?")
    # A longer text is none, and is not remembered as such.
    host = _known_host(host) if len(host) <= _LONGEST_HOST + len(":443") else ""
    code = _CODE.fullmatch(path) if request.status in REDIRECT_STATUS else None
    return Hit(index, request, name, host, path, query, (host, code[1]) if code else None)


@lru_cache(1024)
def _known_host(host: str) -> str:
    """As the door knows it; "" for what cannot be one (nginx's "_")."""
    host = host.lower().removesuffix(":80").removesuffix(":443")
    return host if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else ""


def _named(hit: Hit, kind: str, site_id: str) -> bytes:
    """A page view belongs to the site it is imported for; a click is its link's, whichever site is named."""
    return b"click " + hit.identity if kind == "click" else b"view %b %b" % (site_id.encode(), hit.identity)
