"""From dumps and lists to one row per page, with all submissions that link to it."""
