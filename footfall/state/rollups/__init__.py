"""Which rollups count, and about how many rows there are to read."""
