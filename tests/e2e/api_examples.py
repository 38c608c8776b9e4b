"""The examples of the API's pages: each `$ ask …` with the answer of a real demo.

`python -m tests.e2e.api_examples` asks all of them again and writes the answers into the pages.
"""

import json
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from footfall.cli.terminal import say
from footfall.runtime.tcp_ports import free_port
from tests.e2e.serving import ROOT, environment, footfall, until

PAGES = [ROOT / "docs" / name for name in ("api.md", "query.md", "export.md")]
LINK = "u0uD9q"  # the code of the link that $LINK stands for

_ROWS = 2
_LINES = 3
_WIDTH = 120
_MORE = "…"
_META = ("total", "total_rows", "next_cursor", "partial", "compared_with")

_CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)

# What differs from one installation to the next: ids, cursors, times that are not those of the
# data (2012 and 2015), and how far the worker has come with its rollups.
_OTHERS = re.compile(
    r"""(?:link|site|key)_[0-9a-z]{10}
    | [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}
    | (?<=[",])[0-9a-f]{16}(?=[",])
    | (?<="next_cursor":\ ")[^"]+
    | (?!2012|2015)20\d\d-\d\d(?:-\d\d)?(?:T[\d:.]+(?:Z|\+\d\d:\d\d)?)?
    | (?<="source":\ ")(?:raw|both|rollup)(?=")
    | (?<="source_reasons":\ )\[.*?\]
    | (?<="unsliced":\ )\d+
    | (?<="alerts":\ )\[.*?\]
    """,
    re.VERBOSE,
)


class Example(NamedTuple):
    """A question as it is written, what is sent for it, and the answer below it."""

    written: str
    path: str
    body: str | None
    answer: str


class Demo(NamedTuple):
    """A running demo."""

    console: httpx.Client
    link: str

    def ask(self, example: Example) -> httpx.Response:
        """The answer to an example."""
        path = example.path.replace("$LINK", self.link)
        if example.body is None:
            return self.console.get(path)
        return self.console.post(path, content=example.body, headers={"Content-Type": "application/json"})


@contextmanager
def demo(cwd: Path):
    """`footfall demo --as-is` with the other example data, as docs/api.md says it."""
    ports = {f"FOOTFALL_{name}PORT": str(free_port("127.0.0.1")) for name in ("", "CONSOLE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "footfall", "demo", "--as-is"],
        cwd=cwd,
        env=environment(**ports, ONCE=""),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        printed: list[str] = []
        for line in process.stdout:
            if line == "Serving until Ctrl-C.\n":
                break
            printed.append(line)
        assert process.poll() is None, "".join(printed)
        said = dict(line.split() for line in printed if line.startswith(("Door ", "Console ", "Key ")))
        with (
            httpx.Client(headers={"Authorization": f"Bearer {said['Key']}"}, timeout=60) as door,
            httpx.Client(base_url=said["Console"], headers=door.headers, timeout=60) as console,
        ):
            data = ROOT / "examples" / "data"
            log = ("access-log", data / "apache_access.log.gz", "--site", "My site", "--data", ".demo-data")
            imported = footfall("import", *log, cwd=cwd)
            assert imported.returncode == 0, imported.stderr
            sent = door.post(
                f"{said['Door']}/v1/events",
                content=(data / "widget_events.json").read_bytes(),
                headers={"Content-Type": "application/json"},
            )
            assert sent.json()["rejected"] == 0, sent.text
            until(lambda: console.get("/api/v1/ledger").json()["data"]["in_flight"] == 0)
            [link] = console.get("/api/v1/links", params={"search": LINK}).json()["data"]
            yield Demo(console, link["id"])
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def examples(page: str) -> list[Example]:
    """The examples of a page, in order."""
    return [each for block in _CONSOLE.findall(page) for each in _of_block(block)]


def rewritten(page: str, shown: dict[str, str]) -> str:
    """The page with other answers, by the question as it is written."""

    def block(match: re.Match[str]) -> str:
        return "\n\n".join(f"{each.written}\n{shown[each.written]}" for each in _of_block(match[0])) + "\n"

    return _CONSOLE.sub(block, page)


def same(one: str, other: str) -> bool:
    """Whether two answers differ in nothing but what differs from one installation to the next."""
    return " ".join(_OTHERS.sub("_", one).split()) == " ".join(_OTHERS.sub("_", other).split())


def shown(answer: httpx.Response, *, whole: bool) -> str:
    """An answer as the pages show it: of lists two rows, of files three lines, of `meta` what is its own.

    `whole`: with all of `meta`.
    """
    kind = answer.headers.get("content-type", "")
    if "json" not in kind or "ndjson" in kind:
        lines = answer.text.splitlines()
        cut = [line if len(line) <= _WIDTH else line[:_WIDTH] + _MORE for line in lines[:_LINES]]
        return "\n".join(cut + [_MORE] * (len(lines) > _LINES))
    value = answer.json()
    if answer.is_success and not whole:
        for name in ("meta", "query"):
            if name in value:
                value[name] = {key: each for key, each in value[name].items() if key in _META} | {_MORE: 0}
    return _laid_out(value if not answer.is_success else _shortened(value), 0)


def _of_block(block: str) -> list[Example]:
    found: list[Example] = []
    lines = block.splitlines()
    while lines:
        written = lines.pop(0)
        if not written:
            continue
        assert written.startswith("$ ask "), written
        while not _complete(written):
            written += "\n" + lines.pop(0)
        answer: list[str] = []
        while lines and not lines[0].startswith("$ "):
            answer.append(lines.pop(0))
        _, _, path, *rest = shlex.split(written)
        body = rest[rest.index("-d") + 1] if rest else None
        found.append(Example(written, path, body, "\n".join(answer).strip()))
    return found


def _complete(written: str) -> bool:
    try:
        shlex.split(written)
    except ValueError:
        return False
    return True


def _shortened(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        rows = all(isinstance(each, dict) for each in value)
        return [_shortened(each) for each in value[: _ROWS if rows else None]] + [_MORE] * (
            rows and len(value) > _ROWS
        )
    return value


def _laid_out(value: object, indent: int) -> str:
    """JSON of at most `_WIDTH` columns where it can be, with rows below each other."""
    flat = _flat(value)
    if not isinstance(value, (dict, list)) or len(flat) + indent <= _WIDTH:
        return flat
    inner = indent + 1
    if isinstance(value, dict):
        names = ["" if key == _MORE else f"{json.dumps(key)}: " for key in value]
        items = [
            name + (_MORE if not name else _laid_out(each, inner + len(name)))
            for name, each in zip(names, value.values(), strict=True)
        ]
    else:
        items = [_MORE if each == _MORE else _laid_out(each, inner) for each in value]
    text, used, below = "", inner, isinstance(value, list)
    for number, item in enumerate(items):
        if number and (below or "\n" in item or used + len(item) + 3 > _WIDTH):
            text, used = f"{text},\n{' ' * inner}", inner
        elif number:
            text, used = f"{text}, ", used + 2
        text, used = text + item, used + len(item)
        below = isinstance(value, list) or "\n" in item
    return ("{%s}" if isinstance(value, dict) else "[%s]") % text


def _flat(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.replace(f'"{_MORE}": 0', _MORE).replace(f'"{_MORE}"', _MORE)


def fresh(running: Demo, page: str) -> dict[str, str]:
    """The answers to the examples of a page, as it should show them."""
    found: dict[str, str] = {}
    for number, example in enumerate(examples(page)):
        found[example.written] = shown(running.ask(example), whole=number == 0)
    return found


def main() -> None:
    """Write the answers of today into the pages; what is the same stays as it is."""
    with tempfile.TemporaryDirectory() as cwd, demo(Path(cwd)) as running:
        for path in PAGES:
            page = path.read_text(encoding="utf-8")
            answers = fresh(running, page)
            for each in examples(page):
                if same(each.answer, answers[each.written]):
                    answers[each.written] = each.answer
                else:
                    say(f"{path.name}: {each.written}")
            path.write_text(rewritten(page, answers), encoding="utf-8")


if __name__ == "__main__":
    main()
