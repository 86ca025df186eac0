"""What models are measured and compared by, and what they read."""
