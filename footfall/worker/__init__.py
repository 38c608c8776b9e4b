"""The one loop: log -> prepare -> insert -> close."""
