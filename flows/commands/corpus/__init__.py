"""Commands that make a corpus, ask what is in it, and do single steps."""
