"""`footfall`, but its worker looks at the rollups all the time, and merges three builds instead of eight.

LOOK_EVERY in the environment: seconds between two looks.
"""

import os

from footfall.cli import main
from footfall.jobs import compaction, rollups

if __name__ == "__main__":
    rollups._LOOK_EVERY = float(os.environ.get("LOOK_EVERY", "0.05"))
    compaction.FAN_IN = 3
    main()
