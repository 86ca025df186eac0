"""Near-duplicate removal: signatures of documents, and clusters of near copies."""
