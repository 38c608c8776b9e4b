"""`python -m docs.generate` writes the blocks of all pages, `--check` only says which are not current."""

import re
import sys
from pathlib import Path

from docs.generate.blocks import BLOCKS
from footfall.cli.terminal import say, warn

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"<!-- generated: ([\w-]+) -->\n(.*?)<!-- end -->", re.DOTALL)


def main(arguments: list[str]) -> int:
    """The exit status: 0 when every block is current, or was made so."""
    check = arguments == ["--check"]
    if arguments and not check:
        warn("python -m docs.generate [--check]")
        return 2
    stale: list[str] = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        current = rewritten(text)
        for (name, said), (_, says) in zip(_BLOCK.findall(text), _BLOCK.findall(current), strict=True):
            if said != says:
                stale.append(f"{page.relative_to(ROOT)}: the block `{name}`")
        if not check and text != current:
            page.write_text(current)
    for each in stale:
        say(f"{each} is not what the code says: run make docs" if check else f"{each} is written anew")
    return 1 if check and stale else 0


def rewritten(page: str) -> str:
    """The page with every block as the code says it. Raises KeyError for a block that does not exist."""
    return _BLOCK.sub(_block, page)


def _block(found: re.Match[str]) -> str:
    name = found[1]
    return f"<!-- generated: {name} -->\n\n{BLOCKS[name]().strip()}\n\n<!-- end -->"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
