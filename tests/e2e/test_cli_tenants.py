"""`footfall keys`, `sites` and `links`, with a server and without; and what a report shows of them."""

import httpx
import pytest

from tests.e2e.serving import KEY, footfall, serving, until
from tests.e2e.test_cli import SAMPLE, cells


def test_a_lost_admin_key_is_made_anew_where_nothing_runs_and_beside_a_server(tmp_path):
    footfall("import", "clicks", SAMPLE, "--format", "bitly", "--data", "data", cwd=tmp_path)
    made = footfall("keys", "new", "Found again", "--scope", "admin", "--data", "data", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "may admin. Its secret is shown only now" in made.stderr
    (secret,) = made.stdout.split()
    with serving(tmp_path / "data") as server:
        url = str(server.console.base_url)
        bearer = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{url}/api/v1/keys", headers=bearer).status_code == 200
        narrow = footfall(
            *("keys", "new", "Prometheus", "--scope", "metrics", "--scope", "read"),
            *("--expires-at", "2099-01-31", "--data", "data"),
            cwd=tmp_path,
        )
        listed = footfall("keys", "list", "--data", "data", cwd=tmp_path)
        rows = cells(listed.stdout)
        assert any(
            {"Prometheus", "metrics", "2099-01-31T00:00:00Z"} <= {*" ".join(row).replace(",", "").split()}
            for row in rows
        )
        assert any(row[1:5] == ["Found", "again", "admin", "never"] for row in rows)
        assert narrow.stdout.strip() not in listed.stdout
        # Elsewhere: by URL and the key that was made.
        revoked = footfall("keys", "revoke", "Prometheus", "--url", url, "--key", secret, cwd=tmp_path)
        assert "(Prometheus) is revoked" in revoked.stdout, revoked.stderr
        old = {"Authorization": f"Bearer {narrow.stdout.strip()}"}
        until(lambda: httpx.get(f"{url}/api/v1/analytics/overview", headers=old).status_code == 401)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "new", "x", "--scope", "everything"), "footfall: scopes must be one or more of"),
        (("keys", "new", "x"), "--scope"),
        (
            ("keys", "new", "x", "--scope", "read", "--expires-at", "soon"),
            "--expires-at: must be a day or a time",
        ),
        (("keys", "revoke", "nobody"), "nobody: no key has this id"),
        (("sites", "change", "My site"), "give --name, --origin or --timezone"),
        (("sites", "delete", "Nowhere"), "My site"),
        (("sites", "new", "x", "--timezone", "Europe/Berlm"), "timezone"),
        (("links", "new", "no-address"), "url"),
        (("links", "change", "nothing", "--title", "x"), "nothing: no link has this id or short URL"),
        (("goals", "new", "--event-type", "x", "--property", "plan"), "must be NAME=VALUE"),
        (("goals", "delete", "nothing"), "nothing: no goal has this id"),
        (("segments", "new", "x", "--filter", "[oops"), "--filter: is no JSON"),
        (("segments", "new", "x", "--filter", '["is", "browsr", ["x"]]'), "did you mean browser?"),
        (("report", "--site", "Nowhere"), "My site"),
        (("retention", "--site", "Nowhere", "--raw-days", "5"), "My site"),
    ],
)
def test_what_is_wrong_is_named(running, arguments, said):
    done = footfall(*arguments, "--data", running.data, cwd=running.data.parent)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("running") / "data") as server:
        yield server


def run(server, *arguments):
    done = footfall(*arguments, "--data", server.data, cwd=server.data.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sites_are_made_changed_and_deleted_by_name_or_id(running):
    site = run(
        running, "sites", "new", "Our shop", "--origin", "example.com", "--origin", "*.example.com"
    ).strip()
    assert site.startswith("site_")
    run(running, "sites", "change", "Our shop", "--timezone", "Europe/Berlin")
    (row,) = [row for row in cells(run(running, "sites", "list")) if site in row]
    assert row[:6] == [site, "Our", "shop", "example.com,", "*.example.com", "Europe/Berlin"]
    run(running, "retention", "--site", "Our shop", "--raw-days", "400")
    run(running, "sites", "delete", site)
    assert site not in run(running, "sites", "list")
    # Its events are still there to be asked for.
    run(running, "ledger", "--site", site)


def test_goals_and_segments_are_made_changed_and_deleted_by_name_or_id(running):
    goal = run(
        *(running, "goals", "new", "--name", "Read", "--page", "/blog/**", "--scroll-depth", "50"),
        *("--property", "plan=pro", "--site", "My site"),
    ).strip()
    assert goal.startswith("goal_")
    run(running, "goals", "change", "Read", "--page", "/b*")
    (row,) = [row for row in cells(run(running, "goals", "list")) if goal in row]
    assert row[1:9] == ["Read", "engagement", "on", "/b*", "down", "to", "50%", "plan=pro"]
    german = '["is", "country_code", ["DE"]]'
    segment = run(running, "segments", "new", "Germans", "--filter", german).strip()
    run(running, "segments", "change", "Germans", "--name", "Deutsche")
    assert f"{segment} " in run(running, "segments", "list")
    asked = {"metrics": ["events"], "dimensions": ["goal"], "filters": [["is", "segment", ["Deutsche"]]]}
    answer = running.console.post("/v1/query", json=asked)
    assert answer.json()["results"] == [], answer.text
    run(running, "goals", "delete", goal)
    run(running, "segments", "delete", "Deutsche")
    assert goal not in run(running, "goals", "list")
    assert segment not in run(running, "segments", "list")


def test_links_are_made_changed_and_deleted_by_code_url_or_id(running):
    short = run(
        running,
        *(
            "links",
            "new",
            "https://example.com/a",
            "--code",
            "spring",
            "--title",
            "Spring sale",
            "--tag",
            "print",
        ),
    ).strip()
    assert short.endswith("/spring")
    run(
        running,
        "links",
        "change",
        "spring",
        "--target",
        "https://example.com/b",
        "--expires-at",
        "2099-05-01",
    )
    (row,) = [row for row in cells(run(running, "links", "list", "--search", "spring")) if short in row]
    assert row[1:] == [short, "https://example.com/b", "Spring", "sale", "print", "2099-05-01T00:00:00Z"]
    run(running, "links", "change", short, "--expires-at", "never")
    (row,) = [row for row in cells(run(running, "links", "list")) if short in row]
    assert row[-1] == "never"
    run(running, "links", "delete", row[0])
    assert short not in run(running, "links", "list")


def test_a_report_shows_pages_campaigns_conversions_and_titles_of_one_site(tmp_path):
    with serving(tmp_path / "data") as server:
        site = run(server, "sites", "new", "Our shop").strip()
        link = server.console.post(
            "/api/v1/links", json={"url": "https://e.com", "code": "hi", "title": "Hello"}
        )
        page = {"event_type": "page_view", "page_url": "https://e.com/a?utm_campaign=xmas", "site_id": site}
        order = {"name": "order", "value_minor": 123456, "currency": "EUR"}
        yen = {"name": "order", "value_minor": 500, "currency": "JPY"}
        events = [
            page,
            {"event_type": "page_view", "page_url": "https://e.com/elsewhere"},
            {"event_type": "click", "link_id": link.json()["id"], "site_id": site},
            {"event_type": "conversion", "properties": order, "site_id": site},
            {"event_type": "conversion", "properties": yen, "site_id": site},
        ]
        assert server.door.post("/v1/events", json={"events": events}).json()["accepted"] == 5
        until(lambda: server.console.get("/api/v1/analytics/overview").json()["data"]["events"] == 5)
        shown = run(server, "report", "--site", "Our shop")
        everything = run(server, "report")
        books = run(server, "verify")
    rows = cells(shown)
    assert ["hi", "Hello", "1", "0"] in rows or ["hi", "Hello", "1", "1"] in rows
    assert ["/a", "1", "0"] in rows or ["/a", "1", "1"] in rows
    assert any(row[:1] == ["xmas"] for row in rows)
    assert any(row[:2] == ["order", "2"] and {"1,234.56", "EUR,", "500", "JPY"} <= set(row) for row in rows)
    assert "/elsewhere" not in shown
    assert "/elsewhere" in everything
    assert f"Our shop ({site})" in books


def test_an_empty_report_says_where_events_are(tmp_path):
    imported = footfall("import", "clicks", SAMPLE, "--format", "bitly", "--data", "d", cwd=tmp_path)
    assert "from 2012-03-16 18:40:47 to 2012-03-16 19:40:49 (UTC)" in imported.stdout
    empty = footfall("report", "--data", "d", cwd=tmp_path)
    assert "Events exist from 2012-03 to 2012-03; try --start 2012-03-01 --end 2012-03-31" in empty.stdout
    found = footfall("report", "--data", "d", "--start", "2012-03-01", "--end", "2012-03-31", cwd=tmp_path)
    assert "try --start" not in found.stdout


def test_a_report_of_bots_alone_says_so(tmp_path):
    with serving(tmp_path / "data") as server:
        assert "No events are recorded yet." in run(server, "report")
        crawler = {"event_type": "page_view", "user_agent": "Googlebot/2.1"}
        server.door.post("/v1/events", json={"events": [crawler] * 3})
        asked = {"include_bots": "true"}
        until(
            lambda: (
                server.console.get("/api/v1/analytics/overview", params=asked).json()["data"]["events"] == 3
            )
        )
        assert "Only bots came, 3 events of them; try --include-bots" in run(server, "report")


def test_nothing_is_cut_off_where_it_goes_to_a_file(running):
    name = "A site with a rather long name, as some have it, " * 3
    site = run(running, "sites", "new", name.strip()).strip()
    shown = footfall("sites", "list", "--data", running.data, cwd=running.data.parent, COLUMNS="40").stdout
    assert any(site in line and name.strip() in line for line in shown.splitlines())
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert KEY not in shown
