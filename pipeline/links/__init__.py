"""From dumps and lists to one row a page, with everybody who linked to it."""
