"""Maps of the input itself: what happens when a part is covered, and gradients on the way from a blank image."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float32]

# Pixels that one pass takes at most: four images of 224 × 224, whose maps stay in a processor's caches. Thirty-two at a
# time took 1.4 (ResNet-18) to 2.7 (EfficientNet-B0) times as long an image.
_PIXELS = 4 * 224 * 224
LARGEST_BATCH = 64


def occlusion(
    probabilities: Callable[[Array], Array],
    x_CHW: Array,
    target: int,
    *,
    patch: int,
    stride: int,
    batch: int | None = None,
) -> Array:
    """How much a class's probability falls when a square is covered (Zeiler and Fergus 2014, section 4.2).

    Args:
        probabilities: from preprocessed images (N, C, H, W) to probabilities (N, K); any predictor has it.
        x_CHW: the preprocessed image; it is covered with 0, the mean of the data.
        target: index of the class.
        patch: side of the square, in pixels.
        stride: from one square to the next; not more than `patch`, so that every pixel is covered.
        batch: covered images in one pass; None takes what suits a processor.

    Returns:
        (H, W): at each pixel the mean fall over the squares that covered it; negative where covering helped.
    """
    height, width = x_CHW.shape[1:]
    whole = float(probabilities(x_CHW[None])[0, target])
    falls = np.zeros((height, width), np.float64)
    covered = np.zeros((height, width), np.int64)
    size = batch or min(LARGEST_BATCH, max(1, _PIXELS // (height * width)))
    for corners in _batches(list(_corners(height, width, patch, stride)), size):
        images = np.repeat(x_CHW[None], len(corners), axis=0)
        for image, (top, left) in zip(images, corners, strict=True):
            image[:, max(0, top) : top + patch, max(0, left) : left + patch] = 0
        for (top, left), row in zip(corners, probabilities(images), strict=True):
            place = np.s_[max(0, top) : top + patch, max(0, left) : left + patch]
            falls[place] += whole - float(row[target])
            covered[place] += 1
    return (falls / np.maximum(covered, 1)).astype(np.float32)


def integrated_gradients(network: nn.Module, x_CHW: torch.Tensor, target: int, *, steps: int) -> torch.Tensor:
    """Gradients of a class's score, averaged on the straight way from a blank image (Sundararajan et al. 2017, eq. 1).

    Args:
        network: from (N, C, H, W) to scores (N, K), in evaluation mode.
        x_CHW: the preprocessed image; the way begins at 0, the mean of the data.
        target: index of the class.
        steps: at how many places of the way; Gauss-Legendre places, so that few suffice.

    Returns:
        (C, H, W), whose sum is the score of the image minus that of the blank one.
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(x_CHW)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        point = (x_CHW * float(place)).unsqueeze(0).requires_grad_()
        with torch.enable_grad():
            # a clone, since a network may write into what it is given
            (gradient,) = torch.autograd.grad(network(point.clone())[0, target], point)
        total += float(weight) * gradient[0]
    return total * x_CHW


def _corners(height: int, width: int, patch: int, stride: int) -> Iterator[tuple[int, int]]:
    """Upper left corners such that every pixel is covered, those at the border as often as it goes."""
    outside = patch // 2
    beyond = min(outside, patch - stride)  # so that the last square, too, reaches the border
    for top in range(-outside, height - beyond, stride):
        for left in range(-outside, width - beyond, stride):
            yield top, left


def _batches(corners: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(corners), size):
        yield corners[start : start + size]
