"""GPT-2's tokens of a corpus, in the formats that trainers read."""
