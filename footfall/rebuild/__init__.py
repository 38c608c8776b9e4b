"""A new state database or store, where the old one is lost."""
