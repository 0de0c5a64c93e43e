"""Files to image tensors and back, and the one definition of preprocessing."""
