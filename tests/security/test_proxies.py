"""The examples of proxies are what the proxies read, and what docs/security.md says of them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from footfall.http.limits import place
from footfall.settings import load

ROOT = Path(__file__).parents[2]
PROXIES = ROOT / "examples/proxy"


def program(name):
    """Its path; without it the test is skipped, or fails where everything must be there."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None and not os.environ.get("FOOTFALL_TESTS_NEED_EVERYTHING"):
        pytest.skip(f"{name} is not installed")
    assert path, f"{name} is not installed"
    return path


def run(*arguments, **more):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False, **more)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def test_nginx_takes_its_file(tmp_path):
    nginx = program("nginx")
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=a.example"]
    run(program("openssl"), "req", "-x509", *made, "-keyout", str(key), "-out", str(certificate))
    text = (PROXIES / "nginx.conf").read_text()
    assert text.count("/etc/ssl/certs/footfall.pem") == 3
    text = text.replace("/etc/ssl/certs/footfall.pem", str(certificate))
    text = text.replace("/etc/ssl/private/footfall.key", str(key))
    # Ports that anybody may have, and a place of its own for what nginx writes even to look at a file.
    text = re.sub(r"listen (80|443)", lambda port: f"listen 127.0.0.1:{port[1]}00", text)
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\n{text}")
    told = run(nginx, "-t", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf"))
    assert "syntax is ok" in told
    assert "[warn]" not in told


def test_caddy_takes_its_file(tmp_path):
    caddy = program("caddy")
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    file = str(PROXIES / "Caddyfile")
    told = run(caddy, "validate", "--adapter", "caddyfile", "--config", file, env=os.environ | home)
    assert "Valid configuration" in told


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_both_hide_the_inside_limit_bodies_and_keep_no_addresses(name):
    text = (PROXIES / name).read_text()
    assert "/metrics" in text
    assert "/health/" in text
    assert "Strict-Transport-Security" in text
    assert re.search(r"client_max_body_size 1m|max_size 1MB", text)
    assert "access_log off;" in text or not re.search(r"^\s*log\b", text, re.MULTILINE)
    assert f"examples/proxy/{name}" in (ROOT / "docs/security.md").read_text()


def test_a_proxy_that_is_named_in_the_form_of_ipv6_is_not_limited_by_its_address():
    trusted = load(trusted_proxies="::ffff:10.0.0.0/104").trusted_proxies
    assert place("10.0.0.1", trusted) == place("::ffff:10.0.0.1", trusted) == ""
    assert place("11.0.0.1", trusted) == "11.0.0.1"
