"""The data that the build hook fetched is whole, current and says where it is from."""

import hashlib
import json
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DATA = ROOT / "footfall" / "_data"


@pytest.fixture(scope="module")
def summary():
    return json.loads((DATA / "SOURCES.json").read_bytes())


def test_it_was_made_by_this_version_of_the_hook(summary):
    hook = hashlib.sha256((ROOT / "hatch_build.py").read_bytes()).hexdigest()
    assert hook.startswith(summary["stamp"]), "build again: uv sync --reinstall-package footfall"


def test_every_source_is_pinned_and_licensed_and_there(summary):
    packages = {source["package"] for source in summary["sources"]}
    assert packages == {
        "isbot",
        "@ip-location-db/geo-whois-asn-country-mmdb",
        "swagger-ui-dist",
        "node-device-detector",
    }
    for source in summary["sources"]:
        assert source["integrity"].startswith("sha512-")
        assert source["licence"]
        for file in source["files"].values():
            assert (DATA / file).stat().st_size > 0


def test_what_the_hook_makes_of_isbots_pattern():
    pytest.importorskip("hatchling", reason="the build's own dependency")
    isbot_pattern = import_module("hatch_build").isbot_pattern
    upstream = r'x;\nvar fullPattern = "^[\\w\\d-.]+$|(?<! channel/|google/)google";\ny'.replace(r"\n", "\n")
    assert isbot_pattern(upstream) == r"^[\w\d\-.]+$|(?<! channel/)(?<!google/)google"
    for changed in ("", upstream.replace("fullPattern", "pattern"), upstream.replace("-.]", ".]")):
        with pytest.raises(ValueError, match="isbot"):
            isbot_pattern(changed)


def test_what_the_hook_makes_of_the_lists_of_devices():
    pytest.importorskip("hatchling", reason="the build's own dependency")
    hook = import_module("hatch_build")
    models = [
        {"regex": "M1", "model": "1"},
        {"regex": "M2", "model": "2", "device": "tablet"},
        {"regex": "M3", "model": "3", "device": "tablet"},
        {"regex": "M4", "model": "4"},
    ]
    empty = {name: {} for lists in hook.DEVICE_LISTS.values() for name in lists}
    lists = empty | {name: [] for name in (*hook.APP_LISTS, "bots")}
    lists["mobiles"] = {
        "Maker": {"regex": r"(?<!a|bc)Maker(?!\)[)]x)", "device": "phablet", "models": models}
    }
    lists["bots"] = [{"regex": "bot"}]
    made = json.loads(hook.device_lists(lists))
    maker = [r"(?<!a)(?<!bc)Maker(?!\)[)]x)", "Maker", "mobile", [["mobile", "M1"], ["tablet", "M2|M3"]]]
    assert made["devices"]["devices"] == [maker]
    assert (made["bots"], made["apps"]) == ([["bot", ""]], [])
