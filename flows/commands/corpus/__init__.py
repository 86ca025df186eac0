"""Commands that make a corpus, inspect it, and run single steps."""
