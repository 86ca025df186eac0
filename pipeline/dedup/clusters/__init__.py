"""Which documents say the same, and which of them is kept."""
