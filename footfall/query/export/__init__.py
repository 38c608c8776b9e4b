"""Rows of events and answers as files."""
