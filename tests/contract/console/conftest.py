"""One console for the tests of a module, with a week of events of two workspaces; see ../acme.py."""

import pytest

from tests.console import open_console
from tests.contract.acme import Acme


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    with open_console(tmp_path_factory.mktemp("console")) as console:
        yield Acme(console)
