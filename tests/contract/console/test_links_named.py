"""Reports about links name them: by code and title, as long as the link is there."""

import pytest

from tests.contract.acme import BY_NAME, FIRST, RANGE
from tests.truth import columns_of, make_events


@pytest.fixture(scope="module")
def named(acme):
    """A key, and the rows of the report by link id."""
    console = acme.console
    workspace, other = console.workspace("titles"), console.workspace("strangers")
    create, delete = console.tenants.create_link, console.tenants.delete_link
    links = {
        "titled": console.run(create(workspace, "https://example.com/1", code="titled", title="Spring sale")),
        "gone": console.run(create(workspace, "https://example.com/2", code="gone", title="Of old")),
        "theirs": console.run(
            create(other, "https://example.com/3", domain="go.example.org", title="Secret")
        ),
    }
    console.run(delete(workspace, links["gone"].id))
    ids = [link.id for link in links.values()]
    events = make_events(9, 300, FIRST, FIRST + 86_400_000, [workspace], links=ids)
    columns = columns_of(events)
    columns["short_code"] = ["" for _ in columns["short_code"]]  # as an event with an id alone had it
    console.insert(columns)
    key = console.key(workspace, "read")
    rows = console.get("/api/v1/analytics/links", key, RANGE | {"include_bots": "true"}).json()["data"]
    return links, {row["link_id"]: row for row in rows}, key, console


def test_a_row_has_the_title_and_the_code_of_its_link(named):
    links, rows, _, _ = named
    shown = {name: (rows[link.id]["short_code"], rows[link.id]["title"]) for name, link in links.items()}
    assert shown == {"titled": ("titled", "Spring sale"), "gone": ("", ""), "theirs": ("", "")}
    assert all(row["clicks"] for row in rows.values())


def test_the_report_of_one_link_has_its_title(named):
    links, _, key, console = named
    path = BY_NAME["link"].path.replace("{id:str}", links["titled"].id)
    assert console.get(path, key, RANGE).json()["data"]["title"] == "Spring sale"
