"""The command line: one file a command. `app.py` has the list."""
