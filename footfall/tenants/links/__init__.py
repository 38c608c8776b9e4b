"""Short links: their rows, and what they may point at."""
