"""What the alert conditions need to know of the books, as metrics."""

import time

from footfall.database import Database
from footfall.metrics import LEDGER_IMBALANCES, LETTERS
from footfall.state.dead_letters.letters import DeadLetters
from footfall.verify.ledger_snapshot import imbalances

_SINCE = 2 * 86400.0


async def measure_books(state: Database) -> None:
    """To be called about once a minute. Raises Retryable when the database is busy."""
    LETTERS.set((await DeadLetters(state).size()).letters)
    LEDGER_IMBALANCES.set(await imbalances(state, int((time.time() - _SINCE) * 1000)))
