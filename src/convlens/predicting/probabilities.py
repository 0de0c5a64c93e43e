"""A network with the softmax at its end."""

import torch
from torch import nn


class Probabilities(nn.Module):
    """The network with the softmax that turns its scores into probabilities; computes in `dtype`, answers float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Preprocessed images (N, C, H, W) to probabilities (N, K)."""
        scores: torch.Tensor = self.network(x.to(self.dtype))
        return torch.softmax(scores.float(), dim=1)
