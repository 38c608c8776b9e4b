"""Goals and segments: what a workspace saves by a name, to be used in questions."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import sqlalchemy as sa
from msgspec.structs import asdict, replace
from sqlalchemy import Connection, Table

from footfall.database import Database
from footfall.errors import Conflict, Invalid
from footfall.model.times import now_ms
from footfall.tenants import rows
from footfall.tenants.fields import ListPage, check_text
from footfall.tenants.model import Goal, Segment
from footfall.tenants.tables import sites

T = TypeVar("T", Goal, Segment)

MAX_SAVED = 500
"""Goals of a workspace, and segments."""
MAX_PROPERTIES = 10
_LONGEST_TYPE = 64
_LONGEST_PAGE = 500
_LONGEST_VALUE = 500
_MAX_STARS = 20
_STARS = re.compile(r"\*+")


class Saved(Generic[T]):
    """Those of one kind. Every method raises Retryable when the database is busy or its disk fails.

    `checked` gives what is to be saved, or raises Invalid.
    """

    def __init__(self, database: Database, table: Table, kind: type[T], checked: Callable[[T], T]) -> None:
        self._database = database
        self._table = table
        self._kind = kind
        self._checked = checked

    async def create(self, thing: T) -> T:
        """Save it. Raises Invalid, and Conflict when the name is taken or there are too many."""

        def create(connection: Connection) -> T:
            new = replace(self._fit(connection, thing), created_at=now_ms())
            mine = self._table.c.workspace_id == thing.workspace_id
            count = connection.scalar(sa.select(sa.func.count()).select_from(self._table).where(mine))
            if (count or 0) >= MAX_SAVED:
                raise Conflict(f"a workspace has at most {MAX_SAVED} {self._table.name}")
            rows.insert(connection, self._table, new)
            return new

        return await self._database.run(create)

    async def page(self, workspace_id: str, limit: int = 100, offset: int = 0) -> ListPage[T]:
        """Newest first. Raises Invalid."""
        where = [self._table.c.workspace_id == workspace_id]
        return await self._database.read(
            lambda connection: rows.page(connection, self._table, self._kind, where, limit, offset)
        )

    async def every(self, workspace_id: str) -> Sequence[T]:
        """All of the workspace."""
        return (await self.page(workspace_id, MAX_SAVED)).items

    async def one(self, workspace_id: str, name: str) -> T | None:
        """That with this id, if the workspace has it."""
        return await self._database.read(
            lambda connection: rows.get(connection, self._table, self._kind, workspace_id, name)
        )

    async def update(self, workspace_id: str, name: str, new: Mapping[str, object]) -> T:
        """Change some of it. Raises NotFound, and as `create`."""

        def update(connection: Connection) -> T:
            old = rows.get(connection, self._table, self._kind, workspace_id, name)
            if old is None:
                raise rows.not_found(self._table)
            changed = self._fit(connection, replace(old, **new))
            return rows.update(connection, self._table, self._kind, workspace_id, name, asdict(changed))

        return await self._database.run(update)

    async def delete(self, workspace_id: str, name: str) -> None:
        """Forget it. Raises NotFound."""
        await self._database.run(lambda connection: rows.delete(connection, self._table, workspace_id, name))

    def _fit(self, connection: Connection, thing: T) -> T:
        """What is to be saved, beside what is there."""
        new, table = self._checked(thing), self._table
        if new.site_id:
            mine = (sites.c.id == new.site_id, sites.c.workspace_id == new.workspace_id)
            if connection.scalar(sa.select(sites.c.id).where(*mine)) is None:
                raise Invalid("site_id: there is no such site", field="site_id")
        same = (
            table.c.workspace_id == new.workspace_id,
            table.c.site_id == new.site_id,
            table.c.name == new.name,
            table.c.id != new.id,
        )
        if connection.scalar(sa.select(table.c.id).where(*same)) is not None:
            raise Conflict(f"another one of the {table.name} is called {new.name!r}", field="name")
        return new


def checked_goal(goal: Goal) -> Goal:
    """The goal as it is saved, named as Plausible does where it has no name. Raises Invalid."""
    page = check_text(goal.page, "page", longest=_LONGEST_PAGE, empty=True)
    if page and page[0] not in "/*":
        raise Invalid("page must begin with / or *, as in /blog/**", field="page")
    if len(_STARS.findall(page)) > _MAX_STARS:
        raise Invalid(f"page has at most {_MAX_STARS} stars", field="page")
    event_type = check_text(goal.event_type, "event_type", longest=_LONGEST_TYPE, empty=True)
    if not (event_type or page or goal.scroll_depth):
        raise Invalid("a goal needs an event_type, a page or a scroll_depth", field="event_type")
    if event_type and goal.scroll_depth:
        raise Invalid("scroll_depth is said by engagement events: leave out event_type", field="scroll_depth")
    if not 0 <= goal.scroll_depth <= 100:  # percent
        raise Invalid("scroll_depth must be a number from 1 to 100", field="scroll_depth")
    if len(goal.properties) > MAX_PROPERTIES:
        raise Invalid(f"a goal has at most {MAX_PROPERTIES} properties", field="properties")
    properties = {
        check_text(name, "properties"): check_text(value, "properties", longest=_LONGEST_VALUE)
        for name, value in goal.properties.items()
    }
    name = check_text(goal.name or _said(event_type, page, goal.scroll_depth), "name", longest=_LONGEST_PAGE)
    return replace(goal, name=name, event_type=event_type, page=page, properties=properties)


def checked_segment(segment: Segment) -> Segment:
    """The segment as it is saved; its filters were read before. Raises Invalid."""
    if not segment.filters:
        raise Invalid("filters must not be empty", field="filters")
    return replace(segment, name=check_text(segment.name, "name"))


def _said(event_type: str, page: str, scroll_depth: float) -> str:
    if scroll_depth:
        return f"Scroll {scroll_depth:g}%" + (f" on {page}" if page else "")
    return event_type or f"Visit {page}"
