"""The API page in a real browser: what it fills in has an answer, and it calls no other host."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.e2e.serving import KEY, serving

CHROMIUM = shutil.which("chromium")

# CI sets the variable: there the browser must be present.
needs_browser = pytest.mark.skipif(
    CHROMIUM is None and "FOOTFALL_TESTS_NEED_EVERYTHING" not in os.environ,
    reason="needs Debian's package chromium",
)

# By the id of each on the page: what its answer must say.
OPERATIONS = {
    "Analytics-report_overview": '"complete_through"',
    "Stats-report_stats_timeseries": '"unique_visitors"',
    "Query-query": '"results"',
    "Export-export_query": "Download file",
    "Ledger-ledger": '"balanced": true',
}


def executed(page, operation):
    """The answer to an operation as the page fills it in."""
    place = page.locator(f"#operations-{operation}")
    place.get_by_role("button").first.click()
    place.get_by_role("button", name="Execute").click()
    answer = place.locator(".live-responses-table .response")
    answer.first.wait_for()
    return answer.first.inner_text()


@needs_browser
def test_what_the_page_fills_in_has_an_answer(tmp_path):
    with serving(tmp_path / "data") as server, sync_playwright() as playwright:
        server.door.post("/v1/events", json=[{"event_type": "signup"}]).raise_for_status()
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        console = f"http://127.0.0.1:{server.console_port}"
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.goto(console)
        page.get_by_role("button", name="Authorize").first.click()
        page.get_by_label("auth-bearer-value").fill(KEY)
        page.get_by_role("button", name="Apply credentials").click()
        page.get_by_role("button", name="Close").click()
        shown = {operation: executed(page, operation) for operation in OPERATIONS}
        page.screenshot(path=tmp_path / "docs.png")
        browser.close()
    for operation, words in OPERATIONS.items():
        assert words in shown[operation], (operation, shown[operation][:1000])
    assert complaints == []
    assert [url for url in asked if not url.startswith((console, "data:", "blob:"))] == []
