"""The HTTP face of the console: guards, errors, limits, documentation; one file a resource in `routes`."""
