"""Where the answer to a question comes from: events, rollups, kept sessions; and what is missing."""
