"""What is deleted by age, when, and what is kept of it."""
