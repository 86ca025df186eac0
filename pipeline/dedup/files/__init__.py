"""Near-duplicates in any file of texts, without a build."""
