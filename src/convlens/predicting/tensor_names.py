"""Names of tensors that every format shares."""

IMAGE = "image"  # uint8 (N, H, W, C), decoded, any size
INPUT = "x"  # float32 (N, C, H, W), preprocessed
OUTPUT = "probabilities"  # float32 (N, K)
PREPROCESSING = "preprocessing/"  # begins the name of every node between IMAGE and INPUT
