"""The pages of `webtext inspect`: what is in a corpus, why, and what is not."""
