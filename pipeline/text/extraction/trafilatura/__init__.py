"""What stands in for slow parts of trafilatura, giving the same text to the letter."""
