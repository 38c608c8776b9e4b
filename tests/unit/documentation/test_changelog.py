"""One file a change, folded into CHANGELOG.md at a release."""

import re
import shutil
import subprocess
import sys

import pytest

from docs.generate.changelog import KINDS, kind_of
from tests.unit.documentation.pages import ROOT


@pytest.fixture
def tree(tmp_path):
    """What a release touches, and what does it."""
    shutil.copytree(ROOT / "docs/generate", tmp_path / "docs/generate")
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    (tmp_path / "changelog.d").mkdir()
    shutil.copy(ROOT / "changelog.d/README.md", tmp_path / "changelog.d")
    return tmp_path


def release(tree, *arguments):
    command = [sys.executable, "-m", "docs.generate.changelog", *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_every_file_of_changelog_d_has_a_name_that_can_be_folded():
    files = [each for each in (ROOT / "changelog.d").iterdir() if each.name != "README.md"]
    assert not [each.name for each in files if kind_of(each) not in KINDS]


def test_a_release_folds_the_files_and_what_is_unreleased_into_its_section(tree):
    page = tree / "CHANGELOG.md"
    twice = "### Fixed\n\n- A section that stands there twice.\n\n### Words\n\n- One of another kind.\n"
    before = page.read_text().replace("## [Unreleased]\n", f"## [Unreleased]\n\n{twice}", 1)
    page.write_text(before)
    (tree / "changelog.d/shiny.added.md").write_text("Something shiny,\nover two lines.\n")
    (tree / "changelog.d/hole.security.md").write_text("A hole is closed.\n")
    assert release(tree, "1.2.0").returncode == 0
    after = page.read_text()
    assert re.search(r"## \[Unreleased\]\n\n## \[1\.2\.0\] - \d{4}-\d\d-\d\d\n\n### Added\n\n- ", after)
    assert "\n- Something shiny,\n  over two lines.\n" in after
    assert "\n### Security\n\n- A hole is closed.\n" in after
    unreleased = before.split("## [Unreleased]\n")[1].split("\n## ")[0]
    assert {line for line in unreleased.splitlines() if line} <= set(after.splitlines())
    assert len(after.splitlines()) < len(before.splitlines()) + 10
    assert [each.name for each in (tree / "changelog.d").iterdir()] == ["README.md"]
    (tree / "changelog.d/next.fixed.md").write_text("Another one.")
    assert release(tree, "1.2.1").returncode == 0
    assert page.read_text().count("## [1.2.") == 2
    assert page.read_text().endswith(after.split("## [Unreleased]\n")[1])


@pytest.mark.parametrize("name", ["shiny.md", "shiny.new.md", "shiny.added.txt", ".added.md"])
def test_a_file_with_another_name_stops_the_release_before_anything_is_changed(tree, name):
    (tree / "changelog.d" / name).write_text("Something.")
    before = (tree / "CHANGELOG.md").read_text()
    told = release(tree, "1.2.0")
    assert told.returncode == 2
    assert f"changelog.d/{name}: name it NAME.KIND.md" in told.stderr
    assert (tree / "CHANGELOG.md").read_text() == before
    assert (tree / "changelog.d" / name).exists()


@pytest.mark.parametrize("arguments", [(), ("next",), ("1.2.0", "1.3.0")])
def test_a_release_has_a_version(tree, arguments):
    before = (tree / "CHANGELOG.md").read_text()
    assert release(tree, *arguments).returncode == 2
    assert (tree / "CHANGELOG.md").read_text() == before
