"""From the pixels of a batch to what the network receives: augmentation on the device, then normalisation."""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convlens.data.augmentation import Augmentation
from convlens.data.colour import jittered
from convlens.data.mixing import erased
from convlens.data.policies import with_policy
from convlens.data.warping import flipped, shifted
from convlens.images import Preprocessing

# Which of a sample's random numbers serves what. Fixed places: to switch one change on does not redraw the others.
CROP, SHIFT, FLIP, JITTER, ERASING, POLICY = slice(0, 4), slice(4, 6), 6, slice(7, 11), slice(11, 16), slice(16, 46)
RANDOM_NUMBERS = 46
_CACHED_VALUES = 150_000  # float32 values that a processor's second cache holds with room to spare


def numbers_for(augmentation: Augmentation | None) -> int:
    """How many of a sample's random numbers are read: those of a policy come last."""
    return RANDOM_NUMBERS if augmentation is not None and augmentation.policy else POLICY.start


def augmented(
    pixels_NHWC: Tensor,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None,
    chances: NDArray[np.float64],
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Augment and normalise a batch on its device: uint8 (N, H, W, C) to float32 (N, C, H, W), channels last.

    Args:
        pixels_NHWC: at the network's size; random crops, where there are any, taken and mirrored.
        preprocessing: mean and deviation.
        augmentation: None only normalises.
        chances: a row of random numbers a sample, `numbers_for` of them.
        out: float32 memory for the result, of any shape; None takes new memory.
    """
    if augmentation is None:
        return normalized(pixels_NHWC, preprocessing, out=out)
    if augmentation.shift:
        pixels_NHWC = shifted(pixels_NHWC, augmentation.shift, chances[:, SHIFT])
    if augmentation.flip and augmentation.crop_scale is None:
        pixels_NHWC = flipped(pixels_NHWC, chances[:, FLIP])
    if augmentation.recolours:
        x = pixels_NHWC.permute(0, 3, 1, 2).float().div_(255)
        x = jittered(with_policy(x, augmentation, chances[:, POLICY]), augmentation, chances[:, JITTER])
        pixels_NHWC = torch.round(x * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return erased(normalized(pixels_NHWC, preprocessing, out=out), augmentation.erasing, chances[:, ERASING])


def normalized(pixels_NHWC: Tensor, preprocessing: Preprocessing, *, out: Tensor | None = None) -> Tensor:
    """What `Preprocessing.normalize` does, to the bit, on any device: uint8 (N, H, W, C) to float32 (N, C, H, W)."""
    count, height, width, channels = pixels_NHWC.shape
    # Rows of W × C values against rows of repeated constants: a broadcast over 3 channels would not be vectorised.
    rows = torch.empty(pixels_NHWC.numel(), device=pixels_NHWC.device) if out is None else out
    rows = rows.view(count * height, width * channels)
    pixels = pixels_NHWC.contiguous().view(count * height, width * channels)
    scale, offset = _rows_of(preprocessing, width, rows.device)
    # In parts that a processor's cache holds, so that a batch goes through memory once and not three times.
    part = len(rows) if rows.is_cuda else max(1, _CACHED_VALUES // (width * channels))
    for start in range(0, len(rows), part):
        some = rows[start : start + part]
        some.copy_(pixels[start : start + part])
        some.mul_(scale).add_(offset)  # two roundings, as in NumPy; one fused operation would round once
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=16)
def _rows_of(preprocessing: Preprocessing, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    scale, offset = preprocessing.scale_and_offset()
    return torch.from_numpy(scale).repeat(width).to(device), torch.from_numpy(offset).repeat(width).to(device)


def shown(x_NCHW: Tensor, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Undo the normalisation, to look at what a network sees: float (N, C, H, W) to uint8 (N, H, W, C)."""
    return preprocessing.undo(x_NCHW.float().cpu().numpy())
