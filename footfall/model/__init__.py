"""The words of the system. Imports nothing else of Footfall."""
