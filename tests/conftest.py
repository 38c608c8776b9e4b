"""What every test shares."""

import signal

import pytest

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
def kafka():
    """A Kafka broker, started by the first test that needs one."""
    with running_kafka() as broker:
        yield broker
