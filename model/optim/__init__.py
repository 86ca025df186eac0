"""How weights follow their gradients: optimisers and the learning rate."""
