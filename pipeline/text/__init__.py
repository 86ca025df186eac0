"""From the bytes of a page to its text: extracted, clean, in a known language."""
