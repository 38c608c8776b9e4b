"""`python -m docs.generate.changelog VERSION`: folds the files of changelog.d/ into CHANGELOG.md."""

import re
import sys
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from footfall.cli.terminal import warn

ROOT = Path(__file__).parents[2]
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
_UNRELEASED = "## [Unreleased]\n"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def main(arguments: list[str]) -> int:
    """The exit status. Where a version or the name of a file is wrong it is 2, and nothing is changed."""
    if len(arguments) != 1 or not _VERSION.fullmatch(arguments[0]):
        warn("python -m docs.generate.changelog VERSION, as in 1.2.0")
        return 2
    files = [each for each in sorted((ROOT / "changelog.d").glob("*")) if each.name != "README.md"]
    for each in files:
        if kind_of(each) not in KINDS:
            warn(f"changelog.d/{each.name}: name it NAME.KIND.md, where KIND is one of {', '.join(KINDS)}")
            return 2
    said = {kind: [each.read_text() for each in files if kind_of(each) == kind] for kind in KINDS}
    page = ROOT / "CHANGELOG.md"
    page.write_text(folded(page.read_text(), said, f"[{arguments[0]}] - {datetime.now(UTC):%Y-%m-%d}"))
    for each in files:
        each.unlink()
    return 0


def kind_of(file: Path) -> str:
    """The KIND of NAME.KIND.md; "" for a name that is not so."""
    parts = file.name.split(".")
    return parts[1] if len(parts) == 3 and parts[0] and parts[2] == "md" else ""


def folded(page: str, said: Mapping[str, list[str]], title: str) -> str:
    """The changelog with what is unreleased, and what the files say, under `title`."""
    before, _, rest = page.partition(_UNRELEASED)
    unreleased, older, after = rest.partition("\n## ")
    sections: dict[str, list[str]] = {kind.title(): [] for kind in KINDS}
    for name, text in re.findall(r"### (\w+)\n\n(.*?)\n*(?=\n### |\Z)", unreleased, re.DOTALL):
        sections.setdefault(name, []).append(text)
    for kind in KINDS:
        for text in said[kind]:
            sections[kind.title()].append(textwrap.indent(text.strip(), "  ").replace("  ", "- ", 1))
    lines = [f"{before}{_UNRELEASED}\n## {title}\n"]
    for name, bullets in sections.items():
        lines += [f"### {name}\n", *bullets, ""] if bullets else []
    return "\n".join(lines).rstrip("\n") + "\n" + older + after


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
