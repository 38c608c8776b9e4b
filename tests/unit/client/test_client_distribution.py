"""`footfall-client`: small, whole, and of the same version as the server."""

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "packaging/client"

# What it and its dependencies may import, beside the standard library.
ALLOWED = {
    *("footfall", "httpx", "msgspec"),
    *("anyio", "certifi", "h11", "httpcore", "idna", "sniffio", "typing_extensions"),
}

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
allowed = set(json.loads(sys.argv[2]))

class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names and not top.startswith("__"):
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

sys.meta_path.insert(0, Only())
import httpx
import footfall
from footfall.client import AsyncClient, Client
assert footfall.__file__.startswith(sys.argv[1]), footfall.__file__
sent = []

def door(request):
    sent.append(json.loads(request.content))
    return httpx.Response(202, json={"accepted": 1, "rejected": 0, "results": []})

with Client("http://door", key="k", transport=httpx.MockTransport(door)) as client:
    client.track("signup", {"plan": "team"}, colour="red")
    assert client.flush(10)
print(json.dumps(sent[0]["events"][0]["properties"]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_it_runs_where_nothing_of_the_server_is(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path), json.dumps(sorted(ALLOWED))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"colour": "red", "plan": "team"}


def test_it_is_small_and_holds_the_client_alone(wheel):
    assert wheel.stat().st_size < 200_000
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "footfall/client").glob("*.py")}
    assert here <= names
    rest = {name for name in names - here if ".dist-info/" not in name and "__pycache__" not in name}
    assert rest == {
        "footfall/__init__.py",
        "footfall/py.typed",
        "footfall/errors.py",
        "footfall/model/__init__.py",
        "footfall/model/ids.py",
    }


def test_its_version_and_needs_are_those_of_the_server():
    own, server = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (FOLDER, ROOT)
    )
    assert own["version"] == server["version"]
    assert own["requires-python"] == server["requires-python"]
    assert set(own["dependencies"]) <= {line.partition(" #")[0].strip() for line in server["dependencies"]}
