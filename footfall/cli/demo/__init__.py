"""`footfall demo`: real clicks in, figures out, each beside what plain Python counts in the file."""
