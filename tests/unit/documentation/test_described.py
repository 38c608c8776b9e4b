"""Whatever can be set, called, asked or met is described in docs/."""

import re
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack

import httpx
import pytest
from prometheus_client.metrics import MetricWrapperBase

from docs.generate.blocks import BLOCKS
from footfall import metrics
from footfall.cli.app import EARLIER
from footfall.collect.app import _PAGES
from footfall.components import with_eventlog
from footfall.console import with_console
from footfall.model.columns import COLUMNS
from footfall.model.reasons import MEANINGS, Reason
from footfall.query.catalog.metrics import METRICS
from footfall.query.plan.planner import REASONS
from footfall.query.reports import REPORTS
from footfall.runtime.alerts import CONDITIONS
from footfall.settings import Settings
from tests.unit.documentation.pages import PAGES, ROOT, commands, page, prose, ticked

METHODS = "GET|POST|PUT|PATCH|DELETE"


def test_every_setting_says_what_it_does():
    text = page("settings")
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"| `{name}` |" in text


def test_every_column_and_reason_says_what_it_means():
    text = page("events")
    for each in COLUMNS:
        assert each.meaning.endswith("."), each.name
        assert f"| `{each.name}` |" in text
    for reason in Reason:
        assert MEANINGS[reason].endswith("."), reason
        assert f"| `{reason}` |" in text
    assert {f"`{reason}`" for reason in REASONS} <= {f"`{each}`" for each in ticked(page("api"))}


def test_every_report_and_metric_says_what_it_counts():
    reports, metrics_page = page("api"), page("metrics")
    for report in REPORTS:
        assert report.description, report.name
        assert f"`GET {report.path.replace(':str', '')}`" in reports
    for metric in METRICS.values():
        assert f"### {metric.name}\n\n{metric.meaning}" in metrics_page
        assert metric.differs in metrics_page


def test_every_alert_and_metric_of_the_process_is_on_the_page_for_operators():
    text = page("operations")
    for condition in CONDITIONS:
        assert {condition.name, condition.metric} <= ticked(text)
        assert not isinstance(condition.threshold, str) or condition.threshold in ticked(text)
    named = set(re.findall(r"`(footfall_\w+)`", text))
    made = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    families = {family.name for metric in made for family in metric.describe()}
    assert {name.removesuffix("_total") for name in named} <= {
        each.removesuffix("_total") for each in families
    }
    assert not {name for name in families if not {name, f"{name}_total"} & named}


def test_every_command_and_option_says_what_it_does():
    text = page("commands")
    found = dict(commands())
    assert len(found) > 15
    for name, arguments in found.items():
        if name.removeprefix("footfall ") in EARLIER:  # is not shown
            continue
        section = text.split(f" {name}\n", 1)[1].split("\n## ", 1)[0]
        for argument in arguments:
            if argument.parameter.show is not False and argument.show:
                assert argument.parameter.help, f"{name} {argument.name}"
                assert argument.name.lstrip("-").upper() in section.upper(), f"{name} {argument.name}"


class NoStore:
    """Nobody asks it anything here."""


@pytest.fixture(scope="module")
async def openapi(tmp_path_factory):
    """The console's OpenAPI document."""
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(with_eventlog(settings, "claim"))
        console = await stack.enter_async_context(with_console(settings, NoStore(), log, None, None))
        transport = httpx.ASGITransport(console)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8001") as client:
            return (await client.get("/openapi.json")).json()


@pytest.fixture(scope="module")
def console_paths(openapi):
    """Every path of the console, with its method."""
    paths = openapi["paths"]
    own = {
        path: methods for path, methods in paths.items() if "servers" not in methods
    }  # those are the door's
    return {f"{method.upper()} {path}" for path, methods in own.items() for method in methods}


def named_paths(text):
    """Every path in backticks with its method, without its parameters."""
    found = re.findall(rf"`({METHODS}) (/[^`?\s]*)[^`\n]*`", prose(text))
    return {f"{method} {re.sub('{[a-z_]+}', '{}', path)}" for method, path in found}


@pytest.mark.anyio
async def test_every_operation_says_what_it_does_and_what_to_send(openapi):
    for path, methods in openapi["paths"].items():
        for method in methods.keys() - {"servers"}:
            operation = methods[method]
            assert operation["summary"], path
            assert operation["description"].endswith((".", "`")), (method, path)
            for parameter in operation.get("parameters", ()):
                assert "$ref" in parameter or parameter["description"], (path, parameter)
            # Without an example the page fills in "string", and Execute makes a thing of that name.
            for kind, content in operation.get("requestBody", {"content": {}})["content"].items():
                assert content["example"], (path, kind)


@pytest.mark.anyio
async def test_every_field_of_what_is_sent_says_what_it_means(openapi):
    schemas = openapi["components"]["schemas"]
    for name, schema in schemas.items():
        if name.startswith(("New", "ChunkOf", "Query")) and not name.endswith(("Answer", "Meta")):
            for field, said in schema["properties"].items():
                assert "$ref" in said or "description" in said, (name, field)


@pytest.mark.anyio
async def test_every_endpoint_of_the_console_is_described_and_no_other(console_paths):
    there = {re.sub("{[a-z_]+}", "{}", each) for each in console_paths}
    assert len(there) > 50
    assert there <= named_paths(page("api"))
    door = {f"{method} {path}" for path in _PAGES for method in ("GET", "POST")}
    for each in PAGES:
        named = {path for path in named_paths(each.read_text()) if not path.endswith("/...")}
        assert named <= there | door | {"GET /{}"}, each.name


def test_every_path_of_the_door_is_described():
    named = {path.split()[1] for path in named_paths(page("events"))}
    assert set(_PAGES) <= named


def generate(folder, *arguments):
    command = [sys.executable, "-m", "docs.generate", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_block_that_is_not_what_the_code_says_is_named_and_written_anew(tmp_path):
    for name in ("docs", "README.md", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    assert generate(tmp_path, "--check").stdout == ""
    settings = tmp_path / "docs/settings.md"
    current = settings.read_text()
    settings.write_text(current.replace("| `25ms` |", "| `30ms` |").replace("# Settings", "# All settings"))
    told = generate(tmp_path, "--check")
    assert told.returncode == 1
    assert told.stdout == "docs/settings.md: the block `settings` is not what the code says: run make docs\n"
    assert generate(tmp_path).returncode == 0
    assert settings.read_text() == current.replace("# Settings", "# All settings")
    assert generate(tmp_path, "--check").returncode == 0


def test_every_block_stands_on_a_page():
    found = {name for each in PAGES for name in re.findall(r"<!-- generated: ([\w-]+) -->", each.read_text())}
    assert found == set(BLOCKS)
