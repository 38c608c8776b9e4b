"""`/api/v1/links`, `/api/v1/sites`, `/api/v1/keys`: of the workspace whose key asks."""

from typing import Annotated, Any, TypeVar

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from footfall.api.guard import allowed, key_of, parameters
from footfall.api.openapi import operation_asking
from footfall.api.problems import refusals
from footfall.api.views import (
    KeyView,
    LinkChange,
    LinkView,
    Listed,
    MadeKey,
    NewKey,
    NewLink,
    NewSite,
    SiteChange,
    SiteView,
    key_view,
    link_view,
    listed,
    milliseconds,
    site_view,
)
from footfall.errors import NotFound
from footfall.tenants.directory import Directory
from footfall.tenants.fields import MAX_PAGE
from footfall.tenants.tenants import Tenants

T = TypeVar("T")
Asked = Request[Any, Any, Any]
InPath = Annotated[str, PathParameter(description="Its `id`, as the list shows it.")]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="How many at most.")]
Offset = Annotated[int, QueryParameter(ge=0, le=10**9, description="How many to pass over.")]

_MAX_BODY = 256 << 10
_SECURITY: list[dict[str, list[str]]] = [{"key": []}]
_REFUSALS = {
    400: "A parameter or field is unknown or wrong.",
    401: "Missing or unknown key.",
    403: "The key lacks this scope.",
}
_TAKEN = _REFUSALS | {409: "The code or the domain is taken."}
_ONE = _REFUSALS | {404: "This workspace has no such thing."}


def tenant_routes(tenants: Tenants, directory: Directory) -> list[Router]:
    """The routes of links, sites and keys."""
    return [
        Router("/api/v1/links", route_handlers=_links(tenants, directory), tags=["Links"], **_common()),
        Router("/api/v1/sites", route_handlers=_sites(tenants, directory), tags=["Sites"], **_common()),
        Router("/api/v1/keys", route_handlers=_keys(tenants, directory), tags=["Keys"], **_common()),
    ]


def _common() -> dict[str, Any]:
    return {"security": _SECURITY, "request_max_body_size": _MAX_BODY}


def _links(tenants: Tenants, directory: Directory) -> list[HTTPRouteHandler]:
    may_read, may_write = allowed(directory, "read", "links"), allowed(directory, "links")

    @post(
        summary="Make a link",
        description="On the installation's own domain and with a random code, unless you say otherwise. The "
        "answer has its `short_url`.",
        operation_id="create_link",
        operation_class=operation_asking(
            {"url": "https://example.com/spring", "title": "Spring sale", "tags": ["print"]}
        ),
        guards=[may_write, parameters()],
        responses=refusals(_TAKEN),
    )
    async def create(request: Asked, data: JSONBody[NewLink]) -> LinkView:
        link = await tenants.create_link(
            key_of(request).workspace_id,
            data.url,
            data.code,
            data.domain,
            title=data.title,
            tags=data.tags,
            expires_at=milliseconds(data.expires_at),
            pass_query=data.pass_query,
        )
        return link_view(tenants, link)

    known = parameters("limit", "offset", "domain", "search")

    @get(
        summary="Links",
        description="Of the workspace, newest first.",
        operation_id="links",
        guards=[may_read, known],
        responses=refusals(_REFUSALS),
    )
    async def every(
        request: Asked,
        domain: Annotated[str | None, QueryParameter(description="Only on this domain.")] = None,
        search: Annotated[str, QueryParameter(description="Only with this in code, URL or title.")] = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Listed[LinkView]:
        mine = key_of(request).workspace_id
        page = await tenants.links(mine, limit, offset, domain=domain, search=search)
        return listed([link_view(tenants, link) for link in page.items], page.total, limit, offset)

    @get(
        "/{link_id:str}",
        summary="One link",
        description="As it was made or last changed.",
        operation_id="link",
        guards=[may_read, parameters()],
        responses=refusals(_ONE),
    )
    async def one(request: Asked, link_id: InPath) -> LinkView:
        return link_view(tenants, _found(await tenants.link(key_of(request).workspace_id, link_id), "link"))

    @patch(
        "/{link_id:str}",
        summary="Change a link",
        description="What is left out stays. Its code and its domain never change.",
        operation_class=operation_asking({"url": "https://example.com/summer", "title": "Summer sale"}),
        operation_id="update_link",
        guards=[may_write, parameters()],
        responses=refusals(_ONE),
    )
    async def change(request: Asked, link_id: InPath, data: JSONBody[LinkChange]) -> LinkView:
        link = await tenants.update_link(
            key_of(request).workspace_id,
            link_id,
            url=_given(data.url),
            title=_given(data.title),
            tags=_given(data.tags),
            expires_at=None if data.expires_at is UNSET else milliseconds(data.expires_at),
            pass_query=_given(data.pass_query),
        )
        return link_view(tenants, link)

    @delete(
        "/{link_id:str}",
        summary="Delete a link",
        description="Its clicks stay; its code is free again.",
        operation_id="delete_link",
        guards=[may_write, parameters()],
        responses=refusals(_ONE),
    )
    async def remove(request: Asked, link_id: InPath) -> None:
        await tenants.delete_link(key_of(request).workspace_id, link_id)

    return [create, every, one, change, remove]


def _sites(tenants: Tenants, directory: Directory) -> list[HTTPRouteHandler]:
    may_read, may_write = allowed(directory, "read", "links"), allowed(directory, "admin")

    @post(
        summary="Make a site",
        description="The answer has its `id`, which is public: pages send it with their events.",
        operation_class=operation_asking(
            {"name": "Our shop", "origins": ["example.com", "*.example.com"], "timezone": "Europe/Berlin"}
        ),
        operation_id="create_site",
        guards=[may_write, parameters()],
        responses=refusals(_REFUSALS),
    )
    async def create(request: Asked, data: JSONBody[NewSite]) -> SiteView:
        mine = key_of(request).workspace_id
        return site_view(await tenants.create_site(mine, data.name, data.origins, data.timezone))

    known = parameters("limit", "offset")

    @get(
        summary="Sites",
        description="Of the workspace, newest first.",
        operation_id="sites",
        guards=[may_read, known],
        responses=refusals(_REFUSALS),
    )
    async def every(request: Asked, limit: Limit = 100, offset: Offset = 0) -> Listed[SiteView]:
        page = await tenants.sites(key_of(request).workspace_id, limit, offset)
        return listed([site_view(site) for site in page.items], page.total, limit, offset)

    @get(
        "/{site_id:str}",
        summary="One site",
        description="Its `id` is what pages send.",
        operation_id="site",
        guards=[may_read, parameters()],
        responses=refusals(_ONE),
    )
    async def one(request: Asked, site_id: InPath) -> SiteView:
        return site_view(_found(await tenants.site(key_of(request).workspace_id, site_id), "site"))

    @patch(
        "/{site_id:str}",
        summary="Change a site",
        description="What is left out stays.",
        operation_class=operation_asking({"name": "Our shop", "timezone": "Europe/Berlin"}),
        operation_id="update_site",
        guards=[may_write, parameters()],
        responses=refusals(_ONE),
    )
    async def change(request: Asked, site_id: InPath, data: JSONBody[SiteChange]) -> SiteView:
        site = await tenants.update_site(
            key_of(request).workspace_id,
            site_id,
            name=_given(data.name),
            origins=_given(data.origins),
            timezone=_given(data.timezone),
        )
        return site_view(site)

    @delete(
        "/{site_id:str}",
        summary="Delete a site",
        description="Its events stay.",
        operation_id="delete_site",
        guards=[may_write, parameters()],
        responses=refusals(_ONE),
    )
    async def remove(request: Asked, site_id: InPath) -> None:
        await tenants.delete_site(key_of(request).workspace_id, site_id)

    return [create, every, one, change, remove]


def _keys(tenants: Tenants, directory: Directory) -> list[HTTPRouteHandler]:
    may_manage = allowed(directory, "admin")

    @post(
        summary="Make a key",
        description="The answer holds the secret, which cannot be shown again.",
        operation_id="create_key",
        operation_class=operation_asking({"name": "For reports", "scopes": ["read"]}),
        guards=[may_manage, parameters()],
        responses=refusals(_REFUSALS),
    )
    async def create(request: Asked, data: JSONBody[NewKey]) -> Response[MadeKey]:
        mine = key_of(request).workspace_id
        # The first moment of 1970 is past, not never.
        expires_at = 0 if data.expires_at is None else milliseconds(data.expires_at) or 1
        key, secret = await tenants.create_key(mine, data.name, data.scopes, expires_at=expires_at)
        view = key_view(key)
        made = MadeKey(view.id, view.name, view.scopes, view.expires_at, view.created_at, secret)
        return Response(made, headers={"Cache-Control": "no-store"})

    known = parameters("limit", "offset")

    @get(
        summary="Keys",
        description="Without their secrets, newest first.",
        operation_id="keys",
        guards=[may_manage, known],
        responses=refusals(_REFUSALS),
    )
    async def every(request: Asked, limit: Limit = 100, offset: Offset = 0) -> Listed[KeyView]:
        page = await tenants.keys(key_of(request).workspace_id, limit, offset)
        return listed([key_view(key) for key in page.items], page.total, limit, offset)

    @delete(
        "/{key_id:str}",
        summary="Revoke a key",
        description="It is refused within a second, also in the middle of a request.",
        operation_id="delete_key",
        guards=[may_manage, parameters()],
        responses=refusals(_ONE | {409: "It is the last key with the scope admin that does not expire."}),
    )
    async def remove(request: Asked, key_id: InPath) -> None:
        await tenants.delete_key(key_of(request).workspace_id, key_id)

    return [create, every, remove]


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def _found(thing: T | None, name: str) -> T:
    if thing is None:
        raise NotFound(f"there is no such {name}")
    return thing
