"""Programs written against other services, pointed at a fresh `footfall serve`: they work, run for run."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from tests.e2e.serving import KEY, ROOT, serving, until

CLIENTS = ROOT / "examples" / "clients"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("clients") / "data") as server:
        made = server.console.post("/api/v1/sites", json={"name": "Shop", "origins": ["shop.example"]})
        assert made.status_code == 201
        time.sleep(1)  # every process knows of a change within 1 s
        yield server


def run(server, name):
    """What a client prints, a line each; the second time, when what it sent first is in the answers."""

    def once():
        done = subprocess.run(
            [sys.executable, CLIENTS / f"{name}.py"],
            env=os.environ
            | {
                "DOOR": f"http://127.0.0.1:{server.port}",
                "CONSOLE": f"http://127.0.0.1:{server.console_port}",
                "KEY": KEY,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line.replace("'", '"')) for line in done.stdout.splitlines()]

    once()
    sent = datetime.now(UTC)

    def through():
        meta = server.console.get("/api/v1/analytics/overview").json()["meta"]
        return meta["complete_through"] and datetime.fromisoformat(meta["complete_through"]) >= sent

    until(through)
    return once()


def test_a_page_of_the_event_service(server):
    *sent, widgets, posts, series = run(server, "event_service")
    assert [(each["accepted"], each["rejected"]) for each in sent] == [(1, 0)] * 3
    (widget,) = widgets
    assert widget["mapping_id"] == 456
    assert widget["device_slug"] == "iphone-15-pro"
    assert widget["impressions"] >= 1
    assert widget["unique_visitors"] == 1
    assert posts[0]["post_id"] == 123
    assert len(series[0]["bucket"]) == len("2024-01-01")
    assert series[0]["count"] >= 1


def test_the_app_of_the_link_shortener(server):
    overview, link, clicks, countries, devices, referers, series = run(server, "link_pipeline")
    assert overview["clicks"] >= 3
    assert (link["link_id"], link["short_code"], link["visitors"]) == ("lnk_42", "abc", 2)
    names = {"timestamp", "country", "referer_host", "is_unique", "workspace_id", "link_id", "short_code"}
    assert all(names <= set(each) for each in clicks)
    assert sum(each["is_unique"] for each in clicks) <= 2
    assert countries[0]["country"] == "United States"
    assert devices[0]["browser"] == "Chrome"
    assert referers[0]["referer_host"] == "t.co"
    assert series[-1]["clicks"] >= 3


def test_the_short_pipeline(server):
    sent, clicks, referers = run(server, "short_pipeline")
    assert sent["accepted"] == 1
    assert (clicks[0]["country_code"], clicks[0]["device_type"]) == ("US", "mobile")
    assert referers[0]["referer_host"] == "twitter.com"


def test_the_service_with_tables(server):
    *sent, aggregates = run(server, "tables")
    assert [each["accepted"] for each in sent] == [1, 1, 1]
    (row,) = aggregates
    assert row["linkId"] == "row_7"
    assert (row["uniqueVisitors"], row["uniqueSessions"]) == (2, 2)
    assert row["totalClicks"] >= 3
    assert row["topCountries"][0]["country"] == "US"


def test_the_redirect_service(server):
    sent, clicks = run(server, "decision_record")
    assert sent["accepted"] == 1
    mine = [each for each in clicks if each["destination_url"] == "https://example.com/x"]
    assert (mine[0]["city"], mine[0]["browser"], mine[0]["event_type"]) == ("Austin", "Firefox", "click")
