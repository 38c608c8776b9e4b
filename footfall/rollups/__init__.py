"""Rollups: slices of what was stored, their compaction, and the removal of what no longer counts."""
