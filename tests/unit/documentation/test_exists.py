"""Whatever the pages name is there: files, modules, classes, functions, commands, targets, links."""

import ast
import builtins
import errno
import importlib.util
import re
import subprocess

import pytest

from footfall.setting_errors import OTHER_VARIABLES
from footfall.settings import Settings
from tests.unit.documentation.pages import (
    DECISIONS,
    PAGES,
    ROOT,
    TUTORIALS,
    by_hand,
    commands,
    page,
    source,
    ticked,
)

SUFFIXES = ("py", "md", "toml", "sql", "yml", "gz", "json", "conf")
ELSEWHERE = {"footfall.toml", ".mmdb", "footfall-data", "footfall.events"}  # of whoever runs it
IN_DATA = {"log", "store"}  # parts of the data directory, as operations.md names them

PATH = re.compile(rf"(?:[\w.-]+/)+(?:[\w-]+\.(?:{'|'.join(SUFFIXES)}))?|[\w-]+\.(?:{'|'.join(SUFFIXES)})")
MODULE = re.compile(r"(?:footfall|tests|bench|docs)(?:\.\w+)+")
NAME = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]*)+|[A-Z]+(?:_[A-Z]+)*_?[A-Z]{3,}|_?[a-z]\w*\(\)")
FOREIGN = {"NaN", "RateLimit", "OPTIONS"}

each_page = pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)


def tracked():
    """Every file and folder of the repository, from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    there = {file for file in files if file and (ROOT / file).exists()}
    return there | {str(folder) for file in there for folder in (ROOT / file).relative_to(ROOT).parents}


THERE = tracked()


def exists(path):
    """Whether a file or folder is there: by its path, or by the end of it."""
    path = path.rstrip("/")
    return path in THERE or any(each.endswith(f"/{path}") for each in THERE)


@each_page
def test_every_file_and_folder_is_there(file):
    named = {each.split(": ")[0] for each in ticked(by_hand(file.read_text()))}
    paths = {each for each in named if PATH.fullmatch(each)} - ELSEWHERE - {f"{part}/" for part in IN_DATA}
    data = {each for each in paths if each.startswith(("DATA/", "footfall/_data/"))}
    written = source()  # files of a data directory are named there
    assert not {path for path in paths - data if not exists(path) and f'"{path}"' not in written}


def defined():
    """Every name that a module, a class or a function of the repository is, or has."""
    for node in ast.walk(ast.parse(source())):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case _:
                pass


NAMES = {*OTHER_VARIABLES, *defined(), *dir(builtins), *dir(errno), *FOREIGN}


@each_page
def test_every_class_function_and_constant_is_there(file):
    named = {each for each in ticked(by_hand(file.read_text())) if NAME.fullmatch(each)}
    named = {each for each in named if each.removeprefix("FOOTFALL_").lower() not in Settings.model_fields}
    assert not {each for each in named if each.removesuffix("()") not in NAMES}


def test_a_name_that_a_page_says_is_in_a_file_is_in_it():
    for file in PAGES:
        for path, name in re.findall(r"`([\w/]+\.py): (\w+)`", file.read_text()):
            assert re.search(rf"^(class |def |){name}\b", (ROOT / path).read_text(), re.MULTILINE), path


@each_page
def test_every_module_is_there(file):
    text = file.read_text()
    modules = {each for each in ticked(by_hand(text)) if MODULE.fullmatch(each)} - ELSEWHERE
    modules |= set(re.findall(r"python -m ((?:footfall|tests|bench|docs)[\w.]*)", text))
    assert not {each for each in modules if importlib.util.find_spec(each.rstrip(".")) is None}


@each_page
def test_every_command_and_target_is_there(file):
    text = file.read_text()
    there = {name: {each.name for each in arguments} for name, arguments in commands()}
    groups = {name.rsplit(" ", 1)[0] for name in there} | {"footfall COMMAND"}
    for line in re.findall(r"(?:`|^ *|bin/|\| )(footfall [a-zA-Z][^`\n#]*)", text, re.MULTILINE):
        words = line.split()
        name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in there), None)
        assert name or " ".join(words[:2]) in groups, line
        used = set(re.findall(r"(?<=\s)--[a-z-]+", line)) - {"--help"}
        assert not name or used <= there[name], line
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= targets


def test_every_line_of_the_log_that_is_named_is_written():
    written = source()
    named = {each for each in ticked(by_hand(page("operations"))) if re.fullmatch(r"[a-z]+\.[a-z_]+", each)}
    lines = {each for each in named if not each.startswith("meta.") and not each.endswith(".db")} - ELSEWHERE
    assert len(lines) > 10
    assert not {each for each in lines if f'"{each}"' not in written}


def anchors(file):
    """What a link may point to: headings of a page as GitHub names them, functions of a test."""
    text = file.read_text()
    if file.suffix == ".py":
        return set(re.findall(r"^\s*(?:async )?def (\w+)\(", text, re.MULTILINE))
    found = {}
    for heading in re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{n}" if n else slug for slug, most in found.items() for n in range(most + 1)}


@pytest.mark.parametrize(
    "file", [*PAGES, *DECISIONS, *TUTORIALS, ROOT / "bench/RESULTS.md"], ids=lambda file: file.name
)
def test_every_link_leads_somewhere(file):
    text = re.sub(r"^```.*?^```$", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_decisions_are_numbered_without_holes():
    numbers = [int(file.name[:4]) for file in DECISIONS if file.name[0].isdigit()]
    withdrawn = [int(each) for each in re.findall(r"^- (\d{4}): ", page("decisions/README"), re.MULTILINE)]
    assert sorted(numbers + withdrawn) == list(range(1, len(numbers) + len(withdrawn) + 1))
