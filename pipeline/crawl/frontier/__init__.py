"""What is to be fetched, and when; and what became of it."""
