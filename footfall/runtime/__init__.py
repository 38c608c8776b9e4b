"""How a process runs: its data directory, its loops, its logs and alerts, its end."""
