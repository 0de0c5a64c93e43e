"""Configuration, the loop, optimisation, checkpoints."""
