"""The table of what was measured on every document."""
