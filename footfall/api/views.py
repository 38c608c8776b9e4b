"""Links, sites and keys as the API takes and shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from footfall.tenants.model import SCOPES, Key, Link, Scope, Site
from footfall.tenants.tenants import Tenants

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Url = Annotated[
    str,
    Meta(
        description="Where the link leads: http or https, at most 8,192 characters.",
        examples=["https://example.com/spring"],
    ),
]
Code = Annotated[
    str,
    Meta(
        description="The short code: 1 to 64 of A-Z a-z 0-9 _ -. A random one, if it is left out.",
        examples=["spring"],
    ),
]
Domain = Annotated[
    str,
    Meta(
        description="A short domain of your own. The installation's own, if it is left out.",
        examples=["go.example.com"],
    ),
]
Title = Annotated[str, Meta(description="For people; at most 500 characters.")]
Tags = Annotated[list[str], Meta(description="At most 50, each of at most 100 characters.")]
Name = Annotated[str, Meta(description="For people; at most 200 characters.", examples=["Our shop"])]
Origins = Annotated[
    list[str],
    Meta(
        description="Hosts whose pages may send events; any, if there is none.",
        examples=[["example.com", "*.example.com"]],
    ),
]
Timezone = Annotated[
    str, Meta(description="IANA zone in which the site's days begin.", examples=["Europe/Berlin"])
]
Moment = Annotated[
    datetime, Meta(tz=True, description="ISO 8601 with offset.", examples=["2027-01-01T00:00:00Z"])
]
# Checked by check_scopes, whose refusal names the allowed ones.
Scopes = Annotated[
    list[str],
    Meta(
        description=f"What the key may do: one or more of {', '.join(SCOPES)}; admin includes all others.",
        examples=[["read"]],
    ),
]


PassQuery = Annotated[
    bool,
    Meta(
        description="Whether the target gets the query of each visit (?utm_source=x&gclid=y). Where both "
        "name a parameter, the visit's counts, unless it is empty."
    ),
]


class NewLink(Struct, frozen=True, forbid_unknown_fields=True):
    """A link to be made."""

    url: Url
    code: Code | None = None
    domain: Domain | None = None
    title: Title = ""
    tags: Tags = []
    expires_at: Moment | None = None
    pass_query: PassQuery = False


class LinkChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a link; what is left out stays. `expires_at` null: it never expires."""

    url: Url | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    pass_query: PassQuery | UnsetType = UNSET


class LinkView(Struct, frozen=True):
    """A link. From `expires_at` on it answers 410."""

    id: str
    short_code: str
    short_url: str
    url: str
    domain: str
    title: str
    tags: Sequence[str]
    expires_at: datetime | None
    created_at: datetime
    pass_query: bool


class NewSite(Struct, frozen=True, forbid_unknown_fields=True):
    """A site to be made."""

    name: Name
    origins: Origins = []
    timezone: Timezone = "UTC"


class SiteChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a site; what is left out stays."""

    name: Name | UnsetType = UNSET
    origins: Origins | UnsetType = UNSET
    timezone: Timezone | UnsetType = UNSET


class SiteView(Struct, frozen=True):
    """A site. Its id is public: pages send it with their events."""

    id: str
    name: str
    origins: Sequence[str]
    timezone: str
    created_at: datetime


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: Name
    scopes: Scopes
    expires_at: Moment | None = None


class KeyView(Struct, frozen=True):
    """A key without its secret, which is not kept. From `expires_at` on it opens nothing (null: never)."""

    id: str
    name: str
    scopes: Sequence[Scope]
    expires_at: datetime | None
    created_at: datetime


class MadeKey(KeyView, frozen=True):
    """A new key. `key` is the secret, shown this one time."""

    key: str


class ListMeta(Struct, frozen=True):
    """Which part of the list this is."""

    total: int
    limit: int
    offset: int


class Listed(Struct, Generic[T], frozen=True):
    """Part of a list, newest first."""

    data: Sequence[T]
    meta: ListMeta


def link_view(tenants: Tenants, link: Link) -> LinkView:
    """A link as it is shown."""
    return LinkView(
        id=link.id,
        short_code=link.code,
        short_url=tenants.short_url(link),
        url=link.url,
        domain=link.domain or tenants.default_domain,
        title=link.title,
        tags=link.tags,
        expires_at=shown_moment(link.expires_at) if link.expires_at else None,
        created_at=shown_moment(link.created_at),
        pass_query=link.pass_query,
    )


def site_view(site: Site) -> SiteView:
    """A site as it is shown."""
    return SiteView(site.id, site.name, site.origins, site.timezone, shown_moment(site.created_at))


def key_view(key: Key) -> KeyView:
    """A key as it is shown."""
    expires_at = shown_moment(key.expires_at) if key.expires_at else None
    return KeyView(key.id, key.name, key.scopes, expires_at, shown_moment(key.created_at))


def listed(views: Sequence[T], total: int, limit: int, offset: int) -> Listed[T]:
    """A page of a list as it is shown."""
    return Listed(views, ListMeta(total, limit, offset))


def milliseconds(moment: datetime | None) -> int:
    """A time as it is stored: ms since 1970 UTC, 0 for none."""
    return 0 if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)


def shown_moment(ms: int) -> datetime:
    """A time (ms since 1970 UTC) as it is shown."""
    return _EPOCH + timedelta(milliseconds=ms)
