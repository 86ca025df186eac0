"""Choose the main text among a page's blocks, by a small model's score for each."""
