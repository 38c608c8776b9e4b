"""The console: questions about what was stored, answered over REST."""
