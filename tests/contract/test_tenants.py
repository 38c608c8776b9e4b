"""What tenants/ promises: isolation, durable writes, and every process knowing them within a second.

Against real SQLite files and a real PostgreSQL; where several processes matter, there are several.
"""

import asyncio
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from footfall.database import Database, place_of
from footfall.errors import Conflict, Denied, Invalid, NotFound, Retryable
from footfall.settings import Settings
from footfall.tenants import tables
from footfall.tenants.auth import authenticate, require
from footfall.tenants.cache import UNKNOWN, Cache
from footfall.tenants.directory import Directory
from footfall.tenants.links import links
from footfall.tenants.model import DEFAULT_WORKSPACE, Link
from footfall.tenants.tables import current_version, open_metadata
from footfall.tenants.tenants import Tenants
from tests.databases import variables

pytestmark = pytest.mark.anyio

OURS = DEFAULT_WORKSPACE

files = pytest.mark.parametrize("places", ["sqlite"], indirect=True)
"""Of what only files meet."""


@pytest.fixture
def settings(places: Settings) -> Settings:
    return places


@pytest.fixture
async def tenants(settings: Settings) -> AsyncIterator[Tenants]:
    database = open_metadata(place_of(settings, "meta"))
    tenants = Tenants(database, settings)
    await tenants.bootstrap()
    yield tenants
    await database.close()


@pytest.fixture
async def theirs(tenants: Tenants) -> str:
    return (await tenants.create_workspace("Somebody else")).id


@pytest.fixture
async def directory(
    settings: Settings,
    tenants: Tenants,
) -> AsyncIterator[Directory]:
    """A directory as another process has it: with connections of its own."""
    database = open_metadata(place_of(settings, "meta"))
    directory = Directory(Tenants(database, settings), settings)
    await directory.start()
    yield directory
    await directory.stop()
    await database.close()


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 10
    while not await condition():
        assert time.monotonic() < deadline, "the change was never seen"
        await asyncio.sleep(0.01)


def bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"localhost"), (b"authorization", b"Bearer " + secret.encode())]


# ------------------------------------------------------------------------------- first start


async def test_the_first_start_makes_a_workspace_a_site_and_one_admin_key(settings: Settings):
    database = open_metadata(place_of(settings, "meta"))
    tenants = Tenants(database, settings)
    secret = await tenants.bootstrap()
    assert secret is not None
    assert secret.startswith("ff_")
    assert len(secret) >= 3 + 32
    assert [w.id for w in await tenants.workspaces()] == [OURS]
    assert (await tenants.sites(OURS)).total == 1
    assert [key.scopes for key in (await tenants.keys(OURS)).items] == [("admin",)]
    assert await tenants.bootstrap() is None
    assert await tenants.bootstrap("another-key") is None
    assert len(await tenants.workspaces()) == 1
    await database.close()


async def test_a_given_admin_key_is_taken_as_it_is(settings: Settings):
    database = open_metadata(place_of(settings, "meta"))
    tenants = Tenants(database, settings)
    for unusable in ("with space", "line\nbreak", "ümlaut", "x" * 201):
        with pytest.raises(Invalid, match="admin_key"):
            await tenants.bootstrap(unusable)
    assert await tenants.bootstrap("s3cret!") == "s3cret!"
    directory = Directory(tenants, settings)
    assert (await authenticate(bearer("s3cret!"), directory)).may("admin")
    await database.close()


async def test_racing_first_starts_make_one_workspace_and_one_key(settings: Settings):
    starts = [Tenants(open_metadata(place_of(settings, "meta")), settings) for _ in range(4)]
    made = await asyncio.gather(*(tenants.bootstrap() for tenants in starts))
    assert len([secret for secret in made if secret]) == 1
    assert (await starts[0].keys(OURS)).total == 1
    for tenants in starts:
        await tenants.database.close()


# -------------------------------------------------------------------------------------- keys


async def test_a_secret_opens_its_own_key_and_is_stored_nowhere(tenants: Tenants, directory: Directory):
    key, secret = await tenants.create_key(OURS, "Shop", ["ingest", "read"])
    found = await authenticate(bearer(secret), directory)
    assert (found.id, found.workspace_id, found.scopes) == (key.id, OURS, ("ingest", "read"))
    require(found, "links", "read")
    with pytest.raises(Denied, match="scope admin") as denied:
        require(found, "admin")
    assert denied.value.known
    if isinstance(tenants.database.place, Path):
        for file in tenants.database.place.parent.iterdir():
            assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer  ")],
        [(b"authorization", b"Basic Zm9v")],
        [(b"authorization", b"Bearer ff_nobody")],
        [(b"authorization", b"Bearer \xff\xfe\x00")],
        [(b"authorization", b"Bearer " + b"x" * 100_000)],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
    ],
)
async def test_no_key_or_an_unknown_one_is_denied(
    directory: Directory, headers: Sequence[tuple[bytes, bytes]]
):
    with pytest.raises(Denied) as denied:
        await authenticate(headers, directory)
    assert not denied.value.known


async def test_a_revoked_key_opens_nothing_within_a_second(tenants: Tenants, directory: Directory):
    key, secret = await tenants.create_key(OURS, "Shop", ["read"])
    await authenticate(bearer(secret), directory)
    await tenants.delete_key(OURS, key.id)

    async def gone() -> bool:
        return await directory.key(secret) is None

    await until(gone)


async def test_a_key_that_has_expired_opens_nothing_though_it_is_remembered(
    tenants: Tenants, directory: Directory, monkeypatch: pytest.MonkeyPatch
):
    later = (int(time.time()) + 3600) * 1000
    key, secret = await tenants.create_key(OURS, "For an hour", ["read"], expires_at=later)
    assert (await authenticate(bearer(secret), directory)).id == key.id
    assert [each.expires_at for each in (await tenants.keys(OURS)).items] == [later, 0]
    monkeypatch.setattr("footfall.tenants.directory.time.time", lambda: later / 1000)
    with pytest.raises(Denied, match="expired"):
        await authenticate(bearer(secret), directory)
    await tenants.delete_key(OURS, key.id)  # it can still be put away


async def test_a_key_that_expires_does_not_count_as_the_last_that_may_manage_keys(tenants: Tenants):
    first = (await tenants.keys(OURS)).items[0]
    later = int(time.time() * 1000) + 3_600_000
    passing, _ = await tenants.create_key(OURS, "For an hour", ["admin"], expires_at=later)
    with pytest.raises(Conflict, match="does not expire"):
        await tenants.delete_key(OURS, first.id)
    await tenants.delete_key(OURS, passing.id)


async def test_the_last_admin_key_cannot_be_revoked(tenants: Tenants):
    first = (await tenants.keys(OURS)).items[0]
    other, _ = await tenants.create_key(OURS, "No admin", ["read"])
    with pytest.raises(Conflict, match="last key"):
        await tenants.delete_key(OURS, first.id)
    await tenants.delete_key(OURS, other.id)
    second, _ = await tenants.create_key(OURS, "Another admin", ["admin"])
    await tenants.delete_key(OURS, first.id)
    assert [key.id for key in (await tenants.keys(OURS)).items] == [second.id]


# ------------------------------------------------------------------------------------- links


async def test_a_link_is_found_by_its_place(tenants: Tenants, directory: Directory):
    made = await tenants.create_link(
        OURS, "https://example.com/a b", "Spring", title=" Sale ", tags=["x", "x"]
    )
    assert (made.url, made.title, made.tags) == ("https://example.com/a%20b", "Sale", ("x",))
    assert await directory.link("", "Spring") == made
    assert await directory.link("", "spring") is None
    assert await directory.link("go.example.com", "Spring") is None
    assert tenants.short_url(made) == "http://localhost:8000/Spring"

    own = await tenants.create_link(OURS, "https://example.com/", "Spring", "Go.Example.COM")
    assert own.domain == "go.example.com"
    assert tenants.short_url(own) == "https://go.example.com/Spring"
    assert await tenants.link(OURS, own.id) == own


async def test_the_default_domain_by_its_name_is_the_default_domain(tenants: Tenants):
    for code, name in enumerate(("localhost:8000", "LOCALHOST:8000", "")):
        assert (await tenants.create_link(OURS, "https://example.com/", f"c{code}", name)).domain == ""
    assert (await tenants.links(OURS, domain="localhost:8000")).total == 3


async def test_a_code_is_unique_on_its_domain(tenants: Tenants):
    outcomes = await asyncio.gather(
        *(tenants.create_link(OURS, "https://example.com/", "same") for _ in range(8)),
        return_exceptions=True,
    )
    assert len([o for o in outcomes if isinstance(o, Link)]) == 1
    taken = [o for o in outcomes if isinstance(o, Conflict)]
    assert len(taken) == 7
    assert {o.field for o in taken} == {"code"}


async def test_a_random_code_that_is_taken_is_not_used(tenants: Tenants, monkeypatch: pytest.MonkeyPatch):
    offered = iter(["taken", "taken", "free"])
    await tenants.create_link(OURS, "https://example.com/", "taken")
    monkeypatch.setattr(links, "short_code", lambda: next(offered))
    assert (await tenants.create_link(OURS, "https://example.com/")).code == "free"


async def test_no_link_points_back_at_the_installation(tenants: Tenants, theirs: str):
    await tenants.create_link(theirs, "https://example.com/", "a", "go.example.com")
    made = await tenants.create_link(OURS, "https://example.com/", "b")
    for loop in (
        "http://localhost:8000/b",
        "http://127.0.0.1:8000/b",
        "https://go.example.com/a",
        "http://GO.example.com:80/a",
        "https://go.example.com.:8443/a",
    ):
        with pytest.raises(Invalid, match="back at this installation") as refused:
            await tenants.create_link(OURS, loop)
        assert refused.value.field == "url"
        with pytest.raises(Invalid, match="back at this installation"):
            await tenants.update_link(OURS, made.id, url=loop)
    assert (await tenants.ensure_links(OURS, [("", "c", "https://go.example.com/a")])) == ({}, 0)
    await tenants.create_link(OURS, "http://localhost:3000/", "d")


async def test_lists_are_paged_newest_first_and_filtered(tenants: Tenants, theirs: str):
    await tenants.create_link(theirs, "https://example.com/", "theirs")
    for number in range(5):
        domain = "go.example.com" if number % 2 else None
        await tenants.create_link(OURS, f"https://example.com/{number}%25", f"c{number}", domain)
    first = await tenants.links(OURS, limit=2)
    rest = await tenants.links(OURS, limit=1000, offset=2)
    assert first.total == rest.total == 5
    assert len({link.id for link in [*first.items, *rest.items]}) == 5
    stamps = [link.created_at for link in [*first.items, *rest.items]]
    assert stamps == sorted(stamps, reverse=True)
    assert [link.code for link in (await tenants.links(OURS, search="C3")).items] == ["c3"]
    assert (await tenants.links(OURS, search="%")).total == 5
    assert (await tenants.links(OURS, search="_")).total == 0
    assert (await tenants.links(OURS, domain="go.example.com")).total == 2
    for limit, offset in ((0, 0), (1001, 0), (1, -1)):
        with pytest.raises(Invalid, match="must be between"):
            await tenants.links(OURS, limit, offset)


@pytest.mark.parametrize(
    "search", ["straße", "STRASSE", "strasse", "straẞe", "ISTANBUL", "istanbul", "İstanbul"]
)
async def test_titles_are_found_in_any_case(tenants: Tenants, theirs: str, search: str):
    await tenants.create_link(OURS, "https://example.com/", "found", title="Straße in İstanbul")
    await tenants.create_link(OURS, "https://example.com/", "other", title="Strase in Estanbul")
    assert [link.code for link in (await tenants.links(OURS, search=search)).items] == ["found"]


async def test_an_import_makes_missing_links_at_once_and_repeats_without_a_change(tenants: Tenants):
    kept = await tenants.create_link(OURS, "https://example.com/kept", "kept", "go.example.com")
    wanted = [
        ("go.example.com", "kept", "https://example.com/other"),
        *(("GO.example.com", f"c{n}", f"http://example.org/a b/{n}") for n in range(3000)),
        ("", "plain", "https://example.com/"),
        ("go.example.com", "c1", "https://example.com/twice"),
        ("go.example.com", "bad code", "https://example.com/"),
        ("go.example.com", "api", "https://example.com/"),
        ("go.example.com", "script", "javascript:alert(1)"),
        ("not a host", "x", "https://example.com/"),
    ]
    found, made = await tenants.ensure_links(OURS, wanted)
    assert made == 3001
    assert found["go.example.com", "kept"] == kept
    assert found["GO.example.com", "c7"].url == "http://example.org/a%20b/7"
    assert found["GO.example.com", "c7"].domain == "go.example.com"
    assert found["GO.example.com", "c1"] == found["go.example.com", "c1"]
    assert len(found) == 3003
    again, made = await tenants.ensure_links(OURS, wanted)
    assert (again, made) == (found, 0)
    assert (await tenants.links(OURS)).total == 3002


# --------------------------------------------------------------------------------- isolation


async def test_what_belongs_to_another_workspace_does_not_exist(tenants: Tenants, theirs: str):
    link = await tenants.create_link(theirs, "https://example.com/", "a", "go.example.com")
    site = await tenants.create_site(theirs, "Theirs")
    key, _ = await tenants.create_key(theirs, "Theirs", ["admin"])
    assert await tenants.link(OURS, link.id) is None
    assert await tenants.site(OURS, site.id) is None
    assert (await tenants.links(OURS)).total == 0
    assert key.id not in {k.id for k in (await tenants.keys(OURS)).items}
    assert site.id not in {s.id for s in (await tenants.sites(OURS)).items}
    for attempt in (
        tenants.update_link(OURS, link.id, title="mine"),
        tenants.delete_link(OURS, link.id),
        tenants.update_site(OURS, site.id, name="mine"),
        tenants.delete_site(OURS, site.id),
        tenants.delete_key(OURS, key.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await tenants.link(theirs, link.id) == link
    assert await tenants.site(theirs, site.id) == site


async def test_a_domain_has_one_workspace(tenants: Tenants, theirs: str, directory: Directory):
    await tenants.create_link(theirs, "https://example.com/", "a", "go.example.com")
    with pytest.raises(Conflict, match="another workspace") as refused:
        await tenants.create_link(OURS, "https://example.com/", "b", "go.example.com")
    assert refused.value.field == "domain"
    for place in (("go.example.com", "a"), ("go.example.com", "new")):
        with pytest.raises(Conflict, match="another workspace"):
            await tenants.ensure_links(
                OURS, [("", "c", "https://example.com/"), (*place, "https://example.com/")]
            )
    assert (await tenants.links(OURS)).total == 0

    async def known() -> bool:
        return directory.domain_workspace("go.example.com") == theirs

    await until(known)
    assert directory.domain_workspace("example.com") is None
    assert directory.domain_workspace("") is None


async def test_a_deleted_workspace_takes_everything_with_it(
    tenants: Tenants, theirs: str, directory: Directory
):
    await tenants.create_link(theirs, "https://example.com/", "a", "go.example.com")
    site = await tenants.create_site(theirs, "Theirs")
    _, secret = await tenants.create_key(theirs, "Theirs", ["admin"])
    assert await directory.link("go.example.com", "a")
    assert await directory.site(site.id)
    assert await directory.key(secret)
    assert await directory.workspace(theirs)
    with pytest.raises(Conflict, match="default"):
        await tenants.delete_workspace(OURS)
    await tenants.delete_workspace(theirs)

    async def gone() -> bool:
        return await directory.workspace(theirs) is None

    await until(gone)
    assert directory.domain_workspace("go.example.com") is None
    assert await directory.link("go.example.com", "a") is None
    assert await directory.site(site.id) is None
    assert await directory.key(secret) is None
    await tenants.create_link(OURS, "https://example.com/", "a", "go.example.com")
    with pytest.raises(NotFound):
        await tenants.delete_workspace(theirs)


# ----------------------------------------------------------------- every process knows of it


async def test_another_process_changes_links_and_sites_and_this_one_knows(
    settings: Settings, directory: Directory
):
    code = (
        "import asyncio, sys\n"
        "from footfall.database import place_of\n"
        "from footfall.settings import load\n"
        "from footfall.tenants.tables import open_metadata\n"
        "from footfall.tenants.tenants import Tenants\n"
        "settings = load()\n"
        "tenants = Tenants(open_metadata(place_of(settings, 'meta')), settings)\n"
        "for line in sys.stdin:\n"
        "    print(asyncio.run(eval(line)), flush=True)\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=variables(settings), stdin=PIPE, stdout=PIPE
    )

    async def there(call: str) -> None:
        assert other.stdin
        assert other.stdout
        other.stdin.write(call.encode() + b"\n")
        assert await other.stdout.readline()

    async def target() -> str:
        link = await directory.link("go.example.com", "a")
        return link.url if link else ""

    async def leads(url: str) -> None:
        async def does() -> bool:
            return await target() == url

        await until(does)

    assert await target() == ""
    assert directory.cached_link("go.example.com", "a") is None
    await there("tenants.create_link('default', 'https://example.com/1', 'a', 'go.example.com')")
    await leads("https://example.com/1")
    assert directory.domain_workspace("go.example.com") == OURS
    link = await directory.link("go.example.com", "a")
    assert link
    await there(f"tenants.update_link('default', {link.id!r}, url='https://example.com/2')")
    await leads("https://example.com/2")
    await there(f"tenants.delete_link('default', {link.id!r})")
    await leads("")
    await there("tenants.ensure_links('default', [('go.example.com', 'a', 'https://example.com/3')])")
    await leads("https://example.com/3")

    await other.communicate(b"")
    assert other.returncode == 0


async def test_sites_and_workspaces_are_followed_too(tenants: Tenants, directory: Directory):
    site = await tenants.create_site(OURS, "Shop", ["*.Example.com", "bücher.example"], "Europe/Berlin")
    assert site.origins == ("*.example.com", "xn--bcher-kva.example")
    assert await directory.site(site.id) == site
    await tenants.update_site(OURS, site.id, origins=[])
    await tenants.rename_workspace(OURS, "Ours")

    async def seen() -> bool:
        found, workspace = await directory.site(site.id), await directory.workspace(OURS)
        return bool(found and workspace and found.origins == () and workspace.name == "Ours")

    await until(seen)
    await tenants.delete_site(OURS, site.id)

    async def gone() -> bool:
        return await directory.site(site.id) is None

    await until(gone)


async def test_who_missed_too_many_changes_starts_over(
    settings: Settings, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
):
    link = await tenants.create_link(OURS, "https://example.com/1", "a")
    directory = Directory(tenants, settings)
    await directory.start()
    await directory.stop()  # it follows no more
    assert await directory.link("", "a") == link
    monkeypatch.setattr(tables, "KEPT_CHANGES", 3)
    changed = await tenants.update_link(OURS, link.id, url="https://example.com/2")
    for number in range(5):
        await tenants.create_link(OURS, "https://example.com/", f"go{number}", f"go{number}.example.com")
    assert await directory.link("", "a") == link
    await directory._apply_changes()
    assert directory.cached_link("", "a") is UNKNOWN
    assert await directory.link("", "a") == changed
    assert directory.domain_workspace("go4.example.com") == OURS


async def test_what_was_read_before_a_change_is_not_kept_after_it(tenants: Tenants):
    """The change is committed and told between the reading of a link and its way into the cache."""
    link = await tenants.create_link(OURS, "https://example.com/1", "a")
    read, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Database):
        async def read(self, fn):
            result = await super().read(fn)
            read.set()
            await go_on.wait()
            return result

    slow = Slow.open(tenants.database.place, tables.METADATA)
    applied = await tenants.database.read(current_version)
    cache: Cache[tuple[str, str], Link] = Cache(slow, links.find, 100, lambda: applied)
    asked = asyncio.create_task(cache.get(("", "a")))
    await read.wait()
    changed = await tenants.update_link(OURS, link.id, url="https://example.com/2")
    applied = await tenants.database.read(current_version)
    cache.forget(("", "a"))
    go_on.set()
    assert await asked == link
    assert await cache.get(("", "a")) == changed
    assert cache.cached(("", "a")) == changed
    await slow.close()


# ----------------------------------------------------------------------------- bounds, faults


async def test_the_cache_is_bounded_and_keeps_what_is_used(tenants: Tenants):
    await tenants.ensure_links(OURS, [("", f"c{n}", "https://example.com/") for n in range(200)])
    asked: Counter[str] = Counter()

    def counted(connection, places):
        asked.update(code for _, code in places)
        return links.find(connection, places)

    cache: Cache[tuple[str, str], Link] = Cache(tenants.database, counted, 20, lambda: 0)
    for number in range(200):
        assert await cache.get(("", f"c{number}"))
        assert await cache.get(("", "c0"))
        assert await cache.get(("", f"none{number}")) is None
        assert await cache.get(("", "none0")) is None
    assert set(asked.values()) == {1}
    known = [n for n in range(200) if cache.cached(("", f"c{n}")) is not UNKNOWN]
    absent = [n for n in range(200) if cache.cached(("", f"none{n}")) is None]
    for kept in (known, absent):
        assert 10 <= len(kept) <= 20
        assert {0, 199} <= set(kept)


@pytest.mark.parametrize("exist", [True, False])
async def test_the_cache_is_bounded_in_bytes(tenants: Tenants, *, exist: bool):
    database = tenants.database

    def find(_connection, names):
        return {
            name: Link("id", OURS, "", name, "https://example.com/" + "x" * 8000) for name in names if exist
        }

    cache: Cache[str, Link] = Cache(database, find, 10_000, lambda: 0, 1 << 20)
    names = [f"{number:05}" + "y" * 4000 * (not exist) for number in range(300)]
    for name in names:
        await cache.get(name)
    kept = [name for name in names if cache.cached(name) is not UNKNOWN]
    size = sum(len(name) + 8000 * exist for name in kept)
    most = 1 << 20 if exist else 1 << 18
    assert most // 4 < size <= most
    assert kept[-1] == names[-1]


async def test_what_cannot_be_a_name_is_neither_asked_for_nor_remembered(
    tenants: Tenants, directory: Directory
):
    for _ in range(2):
        assert await directory.site("x" * 1_000_000) is None
        assert await directory.link("", "x" * 1_000_000) is None
    assert not directory._sites._absent._young
    assert not directory._links._absent._young


async def test_a_storm_of_misses_is_few_queries(tenants: Tenants):
    await tenants.ensure_links(OURS, [("", f"c{n}", f"https://example.com/{n}") for n in range(300)])
    queries: list[int] = []

    def counted(connection, places):
        queries.append(len(places))
        return links.find(connection, places)

    cache: Cache[tuple[str, str], Link] = Cache(tenants.database, counted, 10_000, lambda: 0)
    names = [("", f"c{n}") for n in range(600)]
    found = await asyncio.gather(*(cache.get(name) for name in names * 5))
    assert [link.url if link else "" for link in found[:600]] == [
        f"https://example.com/{n}" if n < 300 else "" for n in range(600)
    ]
    assert found[:600] * 5 == found
    assert len(queries) <= 4
    assert sum(queries) == 600


@files
async def test_what_is_cached_stays_good_when_the_database_does_not_answer(
    settings: Settings, tenants: Tenants, logged: list[MutableMapping[str, Any]]
):
    database = open_metadata(place_of(settings, "meta"))
    event.listen(database._engines.writer, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=20"))
    database._engines.writer.dispose()
    directory = Directory(Tenants(database, settings), settings)
    await directory.start()
    link = await tenants.create_link(OURS, "https://example.com/", "a")
    assert await directory.link("", "a") == link
    _, secret = await tenants.create_key(OURS, "Shop", ["read"])
    assert await directory.key(secret)

    blocker = sqlite3.connect(settings.data / "meta.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Retryable):
        await directory.link("", "unknown")

    async def poll_failed() -> bool:
        return any(line["event"] == "loop.failed" and line["loop"] == "directory" for line in logged)

    await until(poll_failed)
    assert directory.cached_link("", "a") == link
    assert await directory.key(secret)
    blocker.execute("ROLLBACK")
    blocker.close()

    await tenants.update_link(OURS, link.id, title="new")

    async def seen() -> bool:
        found = await directory.link("", "a")
        return found is not None and found.title == "new"

    await until(seen)
    await directory.stop()
    await database.close()


async def test_a_local_token_is_worth_an_admin_key(settings: Settings, tenants: Tenants):
    directory = Directory(tenants, settings, lambda token: token == "local-token")
    key = await authenticate(bearer("local-token"), directory)
    assert (key.workspace_id, key.may("admin")) == (OURS, True)
    with pytest.raises(Denied):
        await authenticate(bearer("local-tokem"), directory)


@files
async def test_a_link_on_a_full_disk_is_not_now(settings: Settings) -> None:
    """SQLite undoes the transaction by itself then, and the savepoint within it is gone."""
    database = open_metadata(settings.data / "full.db")
    tenants = Tenants(database, settings)
    await tenants.bootstrap()

    def fill(connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await database.run(fill)

    async def make_many() -> None:
        for number in range(200):
            await tenants.create_link(OURS, f"https://example.com/{number}/{'x' * 4000}")

    with pytest.raises(Retryable):
        await make_many()
    await database.close()
