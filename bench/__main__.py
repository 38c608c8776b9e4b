"""`python -m bench [NAME ...]`: run benchmarks and print their figures as Markdown."""

import importlib
import platform
import sys
import time
from pathlib import Path

NAMES = (
    "log",
    "logs",
    "accept",
    "redirect",
    "hostile",
    "drain",
    "recent_ids",
    "freshness",
    "bytes_per_event",
    "end_to_end",
    "restart",
    "import_access_log",
    "rollups",
    "query",
    "retention",
    "export",
)


def main(names: list[str]) -> None:
    print(f"{_machine()}, {time.strftime('%Y-%m-%d')}\n")
    for name in names or NAMES:
        figures = importlib.import_module(f"bench.{name}").run()
        print(f"## {name}\n\n| figure | value |\n|---|---|")
        for figure, value in figures.items():
            print(f"| {figure} | {value} |")
        print(flush=True)


def _machine() -> str:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    cores = Path("/proc/cpuinfo").read_text().count("model name")
    return f"{cores} x {cpu}, Linux {platform.release()}, Python {platform.python_version()}"


main(sys.argv[1:])
