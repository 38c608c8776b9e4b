"""The pages that are held to the code, and what stands in them."""

import re
from pathlib import Path

from footfall.cli.app import app

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
TUTORIALS = sorted((ROOT / "docs/how-to-add").glob("*.md"))

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)


def page(name):
    """The text of docs/NAME.md."""
    return (ROOT / f"docs/{name}.md").read_text()


def prose(text):
    """A page without its blocks of code."""
    return _FENCE.sub("", text)


def by_hand(text):
    """A page without what is generated: that is about names of the code anyway."""
    return _BLOCK.sub("", prose(text))


def ticked(text):
    """All that stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def source():
    """The Python of Footfall, its tests and benchmarks, in one text."""
    files = [file for folder in ("footfall", "tests", "bench") for file in (ROOT / folder).rglob("*.py")]
    return "\n".join(file.read_text() for file in [*files, ROOT / "hatch_build.py"])


def commands(group=app, path="footfall"):
    """Every command by its whole name, with the names of its options."""
    for name in group:
        if name.startswith("-"):
            continue
        command = group[name]
        if [each for each in command if not each.startswith("-")]:
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command.assemble_argument_collection()
