"""Whether the store, the rollups, the ledger and the log say the same, each counted for itself."""
