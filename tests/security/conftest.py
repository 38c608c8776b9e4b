"""Real processes, attacked from outside."""

import pytest

from tests.e2e.serving import serving


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A door and a console with the default settings, for tests that leave them as they are."""
    with serving(tmp_path_factory.mktemp("attacked") / "data") as server:
        yield server


@pytest.fixture(params=["door", "console"])
def port(request, server):
    """Each of the two ports: they are of one server's code."""
    return server.port if request.param == "door" else server.console_port
