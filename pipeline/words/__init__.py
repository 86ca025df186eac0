"""One text as the rules see it: its words, lines and n-grams, compiled."""
