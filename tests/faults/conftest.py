"""What the faults share: an installation to hurt, the record of verdicts, the table at the end."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from tests.faults.harness import report, shim
from tests.faults.harness.installation import Installation
from tests.faults.harness.judge import Verdict

ROUNDS = int(os.environ.get("FOOTFALL_TEST_ROUNDS", "20"))
SEED = int(os.environ.get("FOOTFALL_TEST_SEED", "1"))

_VERDICTS = pytest.StashKey[list[Verdict]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_VERDICTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    verdicts = config.stash[_VERDICTS]
    if not verdicts:
        return
    text = f"{report.table(verdicts)}\n\nseed {SEED}, {ROUNDS} rounds where a fault has rounds"
    terminalreporter.section("faults")
    terminalreporter.write_line(text)
    if record := os.environ.get("FOOTFALL_TEST_RECORD"):
        Path(record).write_text(f"{text}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(300 + 20 * ROUNDS))


@pytest.fixture
def rounds() -> int:
    """How often a fault with a random part is repeated."""
    return ROUNDS


@pytest.fixture
def repeats() -> int:
    """The same of a fault of which a round takes seconds: one in `make test`."""
    return ROUNDS // 10 if ROUNDS > 20 else 1


@pytest.fixture
def chance() -> Random:
    """The seeded chance of the whole run."""
    return Random(SEED)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes an installation in a directory of its own; its processes end with the test."""
    with ExitStack() as stack:

        def make(**options: object) -> Installation:
            return stack.enter_context(Installation(tmp_path, **options))  # type: ignore[arg-type] - passed on as they are

        yield make


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Records a verdict for the table, then fails the test if it is not clean."""

    def record(verdict: Verdict) -> None:
        request.config.stash[_VERDICTS].append(verdict)
        assert verdict.passed, "\n".join([verdict.fault, *verdict.problems, *verdict.notes])

    return record


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled shim. Without a compiler its tests are left out, but not in CI."""
    if not (shutil.which("cc") or shutil.which("gcc")) and "FOOTFALL_TESTS_NEED_EVERYTHING" not in os.environ:
        pytest.skip("injecting faults needs a C compiler: Debian's packages gcc and libc6-dev")
    return shim.build(tmp_path_factory.mktemp("shim"))
