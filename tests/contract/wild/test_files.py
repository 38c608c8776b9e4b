"""Files of logs as they lie on servers: compressed, in folders, still growing; and what of them is a page."""

import bz2
import gzip
import lzma
import os
import signal
import subprocess
import sys
import time

import pytest
import zstandard

from tests.contract.wild.world import FIREFOX
from tests.e2e.serving import KEY, environment, footfall, until

OPTIONS = ("--site", "My site")
PACKED = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def line(path, agent=FIREFOX, second=0, address="8.8.8.8", status=200):
    at = time.strftime("%d/%b/%Y:%H:%M:", time.gmtime(time.time() - 7200)) + f"{second % 60:02}"
    return f'{address} - - [{at} +0000] "GET {path} HTTP/1.1" {status} 571 "-" "{agent}"'


def run(world, tmp_path, *arguments, stdin=None):
    """What the command printed."""
    url = ("--url", str(world.console.base_url).rstrip("/"))
    done = footfall(
        "import", "access-log", *arguments, *OPTIONS, *url, cwd=tmp_path, stdin=stdin, FOOTFALL_KEY=KEY
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).replace("\u2502", " ").split())


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def views(world, path, count=1, *dimensions):
    def found():
        rows = world.ask(["events"], dimensions, [["is", "page_path", [path]]])
        return rows if sum(row[-1] for row in rows) == count else None

    return until(found)


@pytest.mark.parametrize("suffix", PACKED)
def test_a_compressed_file_is_known_by_its_beginning(world, tmp_path, suffix):
    path = f"/packed{suffix.replace('.', '-')}"
    data = "\n".join(line(path, second=second) for second in range(30)).encode()
    (tmp_path / "access.log").write_bytes(PACKED[suffix](data))  # whatever it is called
    assert "page views imported 30" in run(world, tmp_path, "access.log")
    views(world, path, 30)


def test_a_directory_is_all_its_files_and_those_of_its_folders(world, tmp_path):
    logs = tmp_path / "logs" / "2026" / "11"
    logs.mkdir(parents=True)
    write(tmp_path / "logs" / "a.log", [line("/folder", second=1), "nonsense"])
    (logs / "b.log.gz").write_bytes(gzip.compress(line("/folder", second=2).encode()))
    write(logs / ".hidden", [line("/folder", second=3)])
    said = run(world, tmp_path, "logs")
    assert "page views imported 2" in said
    assert "a.log line 2: not a line of the combined log format" in said
    views(world, "/folder", 2)


def test_several_files_with_fields_of_their_own(world, tmp_path):
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 7200))
    clock = time.strftime("%H:%M:", time.gmtime(time.time() - 7200))
    agent = FIREFOX.replace(" ", "+")
    first = "#Fields: date time cs-method cs-uri-stem c-ip cs(User-Agent) sc-status"
    write(tmp_path / "1.log", [first, f"{day} {clock}01 GET /iis 8.8.8.8 {agent} 200"])
    head = ["#Software: IIS 10.0", "#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(User-Agent)"]
    rest = [f"{day} {clock}{second:02} 8.8.8.8 GET /iis 200 {agent}" for second in range(2, 40)]
    write(tmp_path / "2.log", head + rest)
    write(tmp_path / "3.log", [f"{day} {clock}41 8.8.8.8 GET /iis 200 {agent}"])
    said = run(world, tmp_path, "1.log", "2.log", "3.log")
    assert "page views imported 39" in said
    assert "skipped: directive 3" in said
    assert "3.log line 1: not a line of the combined log format" in said
    assert views(world, "/iis", 39, "country_code", "is_bot") == [("US", False, 39)]


def test_a_format_of_the_servers_own(world, tmp_path):
    at = int(time.time()) - 7200
    write(tmp_path / "x.log", [f"/own|200|{at}.123|GET|8.8.8.8, 10.0.0.1|{FIREFOX}"])
    format_string = "$request_uri|$status|$msec|$request_method|$http_x_forwarded_for|$http_user_agent"
    assert "page views imported 1" in run(world, tmp_path, "x.log", "--format", format_string)
    assert views(world, "/own", 1, "country_code", "browser") == [("US", "Firefox", 1)]


@pytest.mark.parametrize(
    ("path", "pages", "is_page"),
    [
        ("/wiki/Node.js", (), True),
        ("/de/wiki/Three.js", (), True),
        ("/wiki/File:Foo.jpg", (), True),
        ("/index/Datei:Bild.png", (), True),
        ("/cgi-bin/forum.pl?t=1", (), True),
        ("/cgi-bin/guestbook.py", (), True),
        ("/search.lua?q=x", (), True),
        ("/static/app.js", (), False),
        ("/wiki/skins/common.js", (), False),
        ("/tools/backup.sh", (), False),
        ("/docs/paper.pdf", (), False),
        ("/docs/other.pdf", ("pdf",), True),
        ("/docs/third.PDF", (".pdf",), True),
        ("/packages/vue.js", ("/packages/*",), True),
        ("/packages/style.css", ("/packages/*.js",), False),
    ],
)
def test_what_is_a_page_although_it_looks_like_a_file(world, path, pages, is_page):
    body = {"site_id": world.site, "lines": [line(path)], "occurrences": [1], "pages": list(pages)}
    answer = world.console.post("/api/v1/imports/access-log", json=body | {"dry_run": True}).json()
    assert (answer["added"], answer["rejected"]) == (
        ({"page_view": 1}, {}) if is_page else ({}, {"asset": 1})
    )


def test_pages_are_named_by_an_option_of_the_command(world, tmp_path):
    write(tmp_path / "x.log", [line("/papers/1.pdf"), line("/papers/1.css")])
    said = run(world, tmp_path, "x.log", "--page", "pdf", "--page", "/wiki/*")
    assert "page views imported 1" in said
    assert "skipped: asset 1" in said


def test_a_redirect_with_a_slash_is_a_click_of_the_link(world, tmp_path):
    world.link(url="https://example.com/?utm_source=letter&utm_medium=email", code="logged")
    lines = [
        line("/logged/", second=1, status=302),
        line("/logged//?utm_content=x&utm_source=", second=2, status=301),
    ]
    write(tmp_path / "x.log", lines)
    assert "clicks imported 2" in run(world, tmp_path, "x.log")
    rows = world.clicks_of("logged", "utm_source", "utm_medium", "utm_content", "channel", count=2)
    assert rows == [("letter", "email", "", "email"), ("letter", "email", "x", "email")]


def test_a_request_without_a_user_agent_is_a_program_and_a_common_line_says_nothing(world, tmp_path):
    common = line("/unsaid").partition(' "-" "')[0]
    write(tmp_path / "x.log", [line("/dash", agent="-"), line("/empty", agent=""), common])
    assert "page views imported 3" in run(world, tmp_path, "x.log")
    assert views(world, "/dash", 1, "is_bot") == [(True, 1)]
    assert views(world, "/empty", 1, "is_bot") == [(True, 1)]
    assert views(world, "/unsaid", 1, "is_bot") == [(False, 1)]


def test_lists_of_addresses_are_one_visitor_and_no_part_of_an_id(world, tmp_path):
    write(tmp_path / "a.log", [line("/xff", address="8.8.8.8, 10.0.0.1"), line("/xff-alone")])
    assert "page views imported 2" in run(world, tmp_path, "a.log")
    write(tmp_path / "b.log", [line("/xff", address="9.9.9.9, 10.0.0.1")])
    assert "page views imported 0" in run(world, tmp_path, "b.log")
    assert views(world, "/xff", 1, "country_code") == [("US", 1)]
    both = [["is", "page_path", ["/xff", "/xff-alone"]]]
    assert world.ask(["visitors", "events"], filters=both) == [(1, 2)]


def test_a_file_is_followed_over_its_rotation_until_the_command_is_stopped(world, tmp_path):
    log = write(tmp_path / "access.log", [line("/followed", second=1)])
    command = [sys.executable, "-m", "footfall", "import", "access-log", "access.log", "--follow", *OPTIONS]
    command += ["--url", str(world.console.base_url).rstrip("/")]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(FOOTFALL_KEY=KEY),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        views(world, "/followed", 1)
        with log.open("a") as more:
            more.write(line("/followed", second=2) + "\n" + line("/followed", second=3)[:60])
            more.flush()
            views(world, "/followed", 2)
            more.write(line("/followed", second=3)[60:] + "\n")
        views(world, "/followed", 3)
        log.rename(tmp_path / "access.log.1")
        with (tmp_path / "access.log.1").open("a") as late:
            late.write(line("/followed", second=4) + "\n")
        write(log, [line("/followed", second=5)])
        views(world, "/followed", 5)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert "page views imported" in said.decode()
    finally:
        process.kill()
        process.wait()


def test_follow_wants_one_file(world, tmp_path):
    url = ("--url", str(world.console.base_url).rstrip("/"))
    write(tmp_path / "a.log", [line("/a")])
    write(tmp_path / "b.log", [line("/b")])
    for files in (("a.log", "b.log"), ("-",), ("missing.log",), ()):
        done = footfall(
            "import", "access-log", *files, "--follow", *OPTIONS, *url, cwd=tmp_path, FOOTFALL_KEY=KEY
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
