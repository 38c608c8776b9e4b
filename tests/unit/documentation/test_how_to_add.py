"""Each tutorial of docs/how-to-add, followed in a copy of the tree: its files, its edits, its commands."""

import os
import re
import shutil
import subprocess

import pytest

from tests.unit.documentation.pages import ROOT, TUTORIALS

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def tree(tmp_path):
    """A copy of what a tutorial touches; what is fetched when Footfall is built is shared."""
    kept_out = shutil.ignore_patterns("_data", "__pycache__")
    for name in ("footfall", "tests", "docs", "changelog.d", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=kept_out)
    for name in ("README.md", "pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("footfall/_data", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def edit(tree, text):
    """Replace the lines with - by those with +: where they stand, once."""
    head, *lines = text.splitlines()
    file = tree / head.removeprefix("--- ")
    old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
    before = file.read_text()
    assert before.count(old) == 1, f"{file}: {old}"
    file.write_text(before.replace(old, new))


def run(tree, line):
    """A command of the tutorial; the copy's Footfall comes before the one that is installed."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        ["sh", "-c", line], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda file: file.stem)
def test_who_follows_it_gets_what_it_says(tree, tutorial):
    said = ""
    for kind, text in BLOCK.findall(tutorial.read_text()):
        if kind == "diff":
            edit(tree, text)
        elif kind == "sh":
            said += "".join(run(tree, line) for line in text.splitlines())
        else:
            path = text.splitlines()[0].split()[1]
            (tree / path).write_text(text)
    assert " passed" in said
    assert "is written anew" in said
