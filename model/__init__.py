"""GPT-2: the model, its data, its training and its samples."""
