"""What every test shares."""

import signal

import pytest

from footfall.settings import load
from tests.databases import empty
from tests.servers.kafka import kafka as running_kafka
from tests.servers.postgres import postgres as running_postgres

# Run under nohup or as a shell's background job, as CI may do, these signals would be ignored by
# every process that the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Footfall runs on asyncio only. For a module, so that its tests can share what they opened."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server, started by the first test that needs one."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def places_elsewhere(postgres):
    """The URL of a database for links and books; `places` empties it, which is cheaper than a new one."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgres"])
def places(request, tmp_path):
    """The settings of an installation with its databases in files, and one with them in PostgreSQL."""
    if request.param == "sqlite":
        return load(data=tmp_path)
    url = request.getfixturevalue("places_elsewhere")
    empty(url)
    return load(data=tmp_path, database=url)


@pytest.fixture(scope="session")
def kafka():
    """A Kafka broker, started by the first test that needs one."""
    with running_kafka() as broker:
        yield broker
