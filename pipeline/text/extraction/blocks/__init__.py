"""Main texts as a choice among a page's blocks, by what a small model says of each."""
