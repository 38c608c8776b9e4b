"""One file a resource of the console."""
