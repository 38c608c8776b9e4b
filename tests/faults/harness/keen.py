"""`footfall`, but its worker looks at the rollups all the time, and merges three builds instead of eight.

In the environment, in seconds: LOOK_EVERY between two looks; TICK between two looks whether a night has come.
"""

import os

from footfall import parts
from footfall.cli import main
from footfall.jobs import compaction, rollups

if __name__ == "__main__":
    rollups._LOOK_EVERY = float(os.environ.get("LOOK_EVERY", "0.05"))
    parts._TICK = parts._RETAIN_EVERY = float(os.environ.get("TICK", "60"))
    compaction.FAN_IN = 3
    main()
