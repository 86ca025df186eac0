"""Rules on documents: each a frozen dataclass that measures one thing and bounds it."""
