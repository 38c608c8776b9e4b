"""Imports of what was recorded elsewhere: one folder a source."""
