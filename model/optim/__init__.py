"""The optimisers and the learning rate."""
