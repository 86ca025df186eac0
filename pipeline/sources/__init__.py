"""A user's own texts, in whatever files they are: read as rows, and written again."""
