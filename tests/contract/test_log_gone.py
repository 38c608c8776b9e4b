"""What was acknowledged and is gone from the log: named, and lost in the ledger; never nothing."""
