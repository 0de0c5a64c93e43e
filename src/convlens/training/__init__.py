"""Configuration, the loop, optimisation, checkpoints. Only the configuration is imported at once: it needs no torch."""

from convlens.training.config import TrainConfig as TrainConfig

__all__ = ["TrainConfig"]
