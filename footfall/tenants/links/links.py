"""The SQL of links. Every function runs inside one transaction of the metadata database."""

from collections.abc import Collection, Iterable, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection
from sqlalchemy.exc import IntegrityError

from footfall.database import has_more_than_ascii, says
from footfall.errors import Conflict, Invalid
from footfall.model.ids import short_code, short_id
from footfall.model.times import Millis, now_ms
from footfall.tenants import rows
from footfall.tenants.fields import ListPage, check_tags, check_text, check_time
from footfall.tenants.links.targets import (
    as_written,
    check_code,
    check_domain,
    check_target,
    loop_error,
    names_of,
)
from footfall.tenants.model import Link
from footfall.tenants.tables import domains, link_name, link_options, links, record_changes

Place = tuple[str, str]
"""Where a link is: (domain, code). The domain is "" for the installation's own."""

_ATTEMPTS = 20  # to find a free random code
_MAX_SEARCH = 200


def create(
    connection: Connection,
    link: Link,
    own: Collection[str],
) -> Link:
    """Add a link. What is wanted comes as a Link whose `code` may be "" for a random one.

    `own` are the installation's own hosts. Raises Invalid, and Conflict when the code or the
    domain is taken.
    """
    link = msgspec.structs.replace(
        link,
        url=_target(connection, link.url, own),
        title=check_text(link.title, "title", longest=500, empty=True),
        tags=check_tags(link.tags),
        expires_at=check_time(link.expires_at, "expires_at"),
        code=check_code(link.code) if link.code else "",
        domain=_own_or_checked(link.domain, own),
    )
    _claim(connection, link.workspace_id, link.domain)
    if link.code:
        if not _insert(connection, link):
            raise Conflict(f"code {link.code!r} is taken on this domain", field="code")
    else:
        link = _insert_with_random_code(connection, link)
    record_changes(connection, "link", [link_name(link.domain, link.code)])
    return link


def ensure(
    connection: Connection, workspace_id: str, wanted: Iterable[tuple[str, str, str]], own: Collection[str]
) -> tuple[dict[Place, Link], int]:
    """The links of every (domain, code, url), by (domain, code) as given, and how many were made.

    Existing links are returned unchanged. What the rules for domains, codes and targets
    refuse is left out. Raises Conflict when a domain or code belongs to another workspace.
    """
    places: dict[Place, Place] = {}  # as given -> as stored
    targets: dict[Place, str] = {}
    for domain, code, url in wanted:
        try:
            place = _own_or_checked(domain, own), check_code(code)
        except Invalid:
            continue
        places[domain, code] = place
        targets.setdefault(place, url)
    found = find(connection, targets)
    for link in found.values():
        if link.workspace_id != workspace_id:
            raise Conflict(f"{link_name(link.domain, link.code)} belongs to another workspace")
    for domain in {domain for domain, _ in targets.keys() - found.keys()}:
        _claim(connection, workspace_id, domain)
    made = _make(connection, workspace_id, {p: url for p, url in targets.items() if p not in found}, own)
    found |= made
    return {given: found[place] for given, place in places.items() if place in found}, len(made)


def find(connection: Connection, places: Collection[Place]) -> dict[Place, Link]:
    """The links at these places, of whatever workspace."""
    wanted = set(places)
    found: dict[Place, Link] = {}
    for some in rows.chunks({code for _, code in wanted}):
        for row in connection.execute(sa.select(links).where(links.c.code.in_(some))).mappings():
            if (row["domain"], row["code"]) in wanted:
                link = rows.make(Link, row)
                found[link.domain, link.code] = link
    return dict(zip(found, with_options(connection, list(found.values())), strict=True))


def with_options(connection: Connection, found: Sequence[Link]) -> list[Link]:
    """The same links with their options."""
    passing: set[str] = set()
    for some in rows.chunks([link.id for link in found]):
        query = sa.select(link_options.c.link_id).where(
            link_options.c.link_id.in_(some), link_options.c.pass_query
        )
        passing.update(connection.scalars(query))
    return [msgspec.structs.replace(link, pass_query=True) if link.id in passing else link for link in found]


def by_id(connection: Connection, link_ids: Collection[str]) -> dict[str, Link]:
    """The links with these ids, of whatever workspace."""
    found = rows.find(connection, links.c.id, link_ids, Link)
    return {link.id: link for link in with_options(connection, list(found.values()))}


def get(connection: Connection, workspace_id: str, link_id: str) -> Link | None:
    """The link with that id, if it is the workspace's."""
    link = rows.get(connection, links, Link, workspace_id, link_id)
    return with_options(connection, [link])[0] if link else None


def places(connection: Connection, link_ids: Sequence[str]) -> dict[str, Place]:
    """Where the links with these ids are, of whatever workspace."""
    wanted = sa.select(links.c.id, links.c.domain, links.c.code).where(links.c.id.in_(link_ids))
    return {row.id: (row.domain, row.code) for row in connection.execute(wanted)}


def update(
    connection: Connection,
    workspace_id: str,
    link_id: str,
    own: Collection[str],
    url: str | None,
    title: str | None,
    tags: Sequence[str] | None,
    expires_at: Millis | None,
    *,
    pass_query: bool | None,
) -> Link:
    """Change what is not None. Raises NotFound, Invalid."""
    new = {
        "url": None if url is None else _target(connection, url, own),
        "title": None if title is None else check_text(title, "title", longest=500, empty=True),
        "tags": None if tags is None else check_tags(tags),
        "expires_at": None if expires_at is None else check_time(expires_at, "expires_at"),
    }
    link = rows.update(connection, links, Link, workspace_id, link_id, new)
    if pass_query is not None:
        connection.execute(link_options.delete().where(link_options.c.link_id == link.id))
        _set_options(connection, msgspec.structs.replace(link, pass_query=pass_query))
    [link] = with_options(connection, [link])
    record_changes(connection, "link", [link_name(link.domain, link.code)])
    return link


def delete(connection: Connection, workspace_id: str, link_id: str) -> None:
    """Raises NotFound."""
    link = rows.delete(connection, links, workspace_id, link_id)
    record_changes(connection, "link", [link_name(link["domain"], link["code"])])


def tagged(
    connection: Connection, workspace_id: str, after: str, limit: int
) -> list[tuple[str, Sequence[str]]]:
    """The next links behind the id `after` that have tags, at most `limit`: ids and tags, by id."""
    found = connection.execute(
        sa.select(links.c.id, links.c.tags)
        .where(
            links.c.workspace_id == workspace_id,
            links.c.id > after,
            sa.cast(links.c.tags, sa.Text) != "[]",
        )
        .order_by(links.c.id)
        .limit(limit)
    )
    return [(link_id, tags) for link_id, tags in found]


def page(
    connection: Connection,
    workspace_id: str,
    own: Collection[str],
    domain: str | None,
    search: str,
    limit: int,
    offset: int,
) -> ListPage[Link]:
    """Links of a workspace, newest first; those on `domain` only, and with `search` in code, URL or title."""
    where: list[ColumnElement[bool]] = [links.c.workspace_id == workspace_id]
    if domain is not None:
        where.append(links.c.domain == _own_or_checked(domain, own))
    if search:
        text = check_text(search, "search", longest=_MAX_SEARCH)
        where.append(sa.or_(*_containing(connection, text)))
    found = rows.page(connection, links, Link, where, limit, offset)
    return ListPage(with_options(connection, found.items), found.total)


def _containing(connection: Connection, text: str) -> Iterable[ColumnElement[bool]]:
    """Code, URL or title contain `text`; of the URL, in which all is ASCII, also as it is encoded there."""
    title = says(connection, links.c.title, text)
    if text.isascii():
        for column in (links.c.code, links.c.url, links.c.title):
            yield sa.func.lower(column).contains(text.lower(), autoescape=True)
        # Folding takes a call of Python for each title: those in ASCII were looked at already.
        yield sa.and_(has_more_than_ascii(connection, links.c.title), title)
        return
    yield title
    for encoded in {as_written(text), as_written(text.lower())}:
        yield sa.func.lower(links.c.url).contains(encoded.lower(), autoescape=True)


def _own_or_checked(domain: str, own: Collection[str]) -> str:
    host = check_domain(domain) if domain else ""
    return "" if host in own else host


def _target(connection: Connection, url: str, own: Collection[str]) -> str:
    location = check_target(url, own)
    if _registered(connection, names_of(location)):
        raise loop_error(location)
    return location


def _registered(connection: Connection, hosts: Collection[str]) -> set[str]:
    """Those of `hosts` that are short domains of any workspace."""
    found: set[str] = set()
    for some in rows.chunks(hosts):
        found.update(connection.scalars(sa.select(domains.c.host).where(domains.c.host.in_(some))))
    return found


def _claim(connection: Connection, workspace_id: str, domain: str) -> None:
    """Make sure that the workspace may have links on `domain`. Raises Conflict."""
    if not domain:
        return
    owner = connection.scalar(sa.select(domains.c.workspace_id).where(domains.c.host == domain))
    if owner is None:
        values = {"host": domain, "workspace_id": workspace_id, "created_at": _now()}
        connection.execute(domains.insert().values(values))
        record_changes(connection, "domain", [domain])
    elif owner != workspace_id:
        raise Conflict(f"domain {domain} belongs to another workspace", field="domain")


def _insert(connection: Connection, link: Link) -> bool:
    """Whether the place was free."""
    try:
        # A savepoint, because PostgreSQL lets nothing follow an error but the end of the transaction.
        with connection.begin_nested():
            connection.execute(links.insert().values(_columns(link)))
            _set_options(connection, link)
    except IntegrityError:
        if not find(connection, [(link.domain, link.code)]):
            raise
        return False
    return True


def _columns(link: Link) -> dict[str, object]:
    values = msgspec.structs.asdict(link)
    del values["pass_query"]
    return values


def _set_options(connection: Connection, link: Link) -> None:
    if link.pass_query:
        connection.execute(link_options.insert().values(link_id=link.id, pass_query=True))


def _insert_with_random_code(connection: Connection, link: Link) -> Link:
    for _ in range(_ATTEMPTS):
        candidate = msgspec.structs.replace(link, code=short_code())
        if _insert(connection, candidate):
            return candidate
    raise Conflict("no free random code was found; name one", field="code")


def _make(
    connection: Connection, workspace_id: str, targets: dict[Place, str], own: Collection[str]
) -> dict[Place, Link]:
    locations: dict[Place, str] = {}
    for place, url in targets.items():
        try:
            locations[place] = check_target(url, own)
        except Invalid:
            continue
    loops = _registered(connection, {name for url in locations.values() for name in names_of(url)})
    now = _now()
    made = {
        (domain, code): Link(short_id("link"), workspace_id, domain, code, url, created_at=now)
        for (domain, code), url in locations.items()
        if loops.isdisjoint(names_of(url))
    }
    if made:
        connection.execute(links.insert(), [_columns(link) for link in made.values()])
        record_changes(connection, "link", [link_name(*place) for place in made])
    return made


def _now() -> int:
    return now_ms()
