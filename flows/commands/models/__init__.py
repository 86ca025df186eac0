"""Commands that train, sample, evaluate and export models."""
