"""Hosts that another workspace lists, too: it gets no page view and changes no figure."""

import pytest

from tests.contract.door import open_door

pytestmark = pytest.mark.anyio

OTHERS = "other"


async def seen(rig, page, **more):
    """The workspace that an event of a page is stored for, and the event; None where it is refused."""
    event = {"event_type": "page_view", "page_url": page} | more
    answer = await rig.http.post("/v1/events", json=[event], headers={"origin": page})
    if answer.status_code != 202:
        assert "several workspaces" in answer.json()["detail"]
        return None
    record = (await rig.records())[-1]
    return record.workspace_id, record.events[0]


async def other_site(rig, *origins):
    workspace = await rig.tenants.create_workspace("Others")
    await rig.tenants.create_site(workspace.id, "Theirs", origins=list(origins))
    await rig.door.directory.catch_up()


@pytest.mark.parametrize("page", ["https://www.shop.example", "https://a.b.shop.example"])
async def test_who_lists_a_host_more_exactly_later_gets_none_of_its_pages(tmp_path, page):
    async with open_door(tmp_path) as rig:
        await rig.tenants.create_site("default", "Shop", origins=["*.shop.example"])
        await other_site(rig, page.removeprefix("https://"), "*.b.shop.example")
        assert await seen(rig, page) is None
        assert (await seen(rig, "https://m.shop.example"))[0] == "default"


async def test_what_lies_below_no_domain_takes_nothing_from_others(tmp_path):
    async with open_door(tmp_path) as rig:
        await other_site(rig, "*.example")
        await rig.tenants.create_site("default", "Shop", origins=["shop.example"])
        await rig.door.directory.catch_up()
        assert (await seen(rig, "https://shop.example"))[0] == "default"


async def test_a_referrer_stays_the_sites_own_though_others_list_its_host(tmp_path):
    async with open_door(tmp_path) as rig:
        await rig.tenants.create_site("default", "Shop", origins=["shop.example"])
        await other_site(rig, "blog.shop.example", "*.example")
        _, event = await seen(rig, "https://shop.example", referrer="https://blog.shop.example/")
        assert event.own_referrer
        # Another site of the same workspace has its own pages.
        await rig.tenants.create_site("default", "Blog", origins=["blog.shop.example"])
        await rig.door.directory.catch_up()
        _, event = await seen(rig, "https://shop.example", referrer="https://blog.shop.example/")
        assert not event.own_referrer
