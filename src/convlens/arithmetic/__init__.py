"""What a layer computes: convolution, correlation, pooling, padding, geometry. NumPy, to be read."""
