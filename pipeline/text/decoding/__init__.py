"""The text of a page's bytes: its charset found and decoded as browsers do."""
