"""What every test shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Footfall runs on asyncio only."""
    return "asyncio"
