"""The enrichment of events: pure functions, one file a step. `pipeline.py` has their order."""
