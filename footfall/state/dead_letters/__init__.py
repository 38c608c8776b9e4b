"""What could not be stored, kept with all that is needed to try again."""
