"""The API page in a real browser: it shows every report, asks one, and calls no other host."""

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


@needs_browser
def test_a_question_is_asked_from_the_browser(tmp_path):
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
        operation = page.locator("#operations-Analytics-report_overview")
        operation.get_by_role("button").first.click()
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table .response-col_description .microlight")
        answer.first.wait_for()
        shown = answer.first.inner_text()
        page.screenshot(path=tmp_path / "docs.png")
        browser.close()
    assert '"events"' in shown
    assert '"complete_through"' in shown
    assert complaints == []
    assert [url for url in asked if not url.startswith((console, "data:"))] == []
