"""Colour changes of a whole batch at once; float (N, C, H, W), values 0..1."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convlens.data.augmentation import Augmentation
from convlens.images import GRAY_WEIGHTS


def jittered(x_NCHW: Tensor, augmentation: Augmentation, chances: NDArray[np.float64]) -> Tensor:
    """Change brightness, contrast, saturation and hue, each sample by its own four random numbers (N, 4).

    Each of the four is an affine map of the colours, so that one matrix, scale and offset a sample do it all. The hue
    turns about the gray axis, the luma kept.
    """
    if not any((augmentation.brightness, augmentation.contrast, augmentation.saturation, augmentation.hue)):
        return x_NCHW
    signed = 2 * chances - 1
    brightness = 1 + augmentation.brightness * signed[:, 0]
    contrast = 1 + augmentation.contrast * signed[:, 1]
    scale = _column(brightness * contrast, x_NCHW)
    mean_luma = gray(x_NCHW).mean(dim=(1, 2, 3), keepdim=True)
    offset = _column(brightness * (1 - contrast), x_NCHW) * mean_luma
    if x_NCHW.shape[1] == 3:
        saturation = 1 + augmentation.saturation * signed[:, 2]
        turn = 2 * math.pi * augmentation.hue * signed[:, 3]
        mixing = torch.from_numpy(_colour_matrices(saturation, turn)).to(x_NCHW)
        x_NCHW = torch.einsum("nij,njhw->nihw", mixing, x_NCHW)
    return (x_NCHW * scale + offset).clamp(0, 1)


def gray(x_NCHW: Tensor) -> Tensor:
    """The luma, (N, 1, H, W)."""
    if x_NCHW.shape[1] == 1:
        return x_NCHW
    weights = torch.tensor(GRAY_WEIGHTS, dtype=x_NCHW.dtype, device=x_NCHW.device)
    return torch.einsum("c,nchw->nhw", weights, x_NCHW).unsqueeze(1)


def _colour_matrices(saturation: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (N, 3, 3) that keep the luma, stretch the chroma and turn it about the gray axis."""
    luma = np.broadcast_to(np.array(GRAY_WEIGHTS), (3, 3))  # every row gives the gray of a colour
    chroma = np.eye(3) - luma
    axis = np.full(3, 1 / math.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    around = np.outer(axis, axis)  # Rodrigues' formula for a rotation about an axis
    cosine, sine = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    rotation = cosine * np.eye(3) + sine * cross + (1 - cosine) * around
    return np.asarray(luma + saturation[:, None, None] * (chroma @ rotation @ chroma), np.float64)


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like)[:, None, None, None]
