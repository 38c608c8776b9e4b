"""What every test shares."""

import signal

import pytest

# Under nohup, as CI may run us, SIGHUP would be ignored by every process that the tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> str:
    """Footfall runs on asyncio only."""
    return "asyncio"
