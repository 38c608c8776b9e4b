"""`footfall`, but its worker looks at the rollups all the time, and merges three builds instead of eight.

In the environment: LOOK_EVERY, seconds between two looks; TICK, seconds between two looks whether a night
has come; LETTERS, how many dead letters the worker keeps.
"""

import os
from functools import partial

from footfall import components
from footfall.cli.app import main
from footfall.rollups import compaction, maintenance
from footfall.state.dead_letters.letters import MAX_LETTERS, DeadLetters
from footfall.worker import open as opening

if __name__ == "__main__":
    maintenance._LOOK_EVERY = float(os.environ.get("LOOK_EVERY", "0.05"))
    components._TICK = components._RETAIN_EVERY = float(os.environ.get("TICK", "60"))
    opening.DeadLetters = partial(DeadLetters, max_letters=int(os.environ.get("LETTERS", MAX_LETTERS)))
    compaction.FAN_IN = 3
    main()
