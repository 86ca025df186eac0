"""GPT-2 itself: its layers, loss, weights and samples."""
