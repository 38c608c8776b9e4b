"""What the world sends: inputs of a kind that once failed, each with the value that is right."""
