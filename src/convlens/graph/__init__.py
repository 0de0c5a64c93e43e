"""Any module becomes the graph of one forward pass."""
