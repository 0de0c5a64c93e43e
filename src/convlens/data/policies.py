"""TrivialAugment and RandAugment on a batch: each sample its own operation; float (N, C, H, W), values 0..1."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from convlens.data.augmentation import Augmentation
from convlens.data.colour import gray

GEOMETRIC = ("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate")
BINS = 31  # strengths are counted 0..30 in both papers


def with_policy(x_NCHW: Tensor, augmentation: Augmentation, chances: NDArray[np.float64]) -> Tensor:
    """Make the policy's operations, each sample by its own numbers: three an operation, (N, 3 × operations)."""
    if augmentation.policy is None:
        return x_NCHW
    operations = 1 if augmentation.policy == "trivial" else augmentation.rand_operations
    for number in range(operations):
        for_operation, for_strength, for_sign = chances[:, 3 * number : 3 * number + 3].T
        chosen = np.floor(for_operation * len(OPERATIONS)).astype(np.int64)
        strength = np.full(len(x_NCHW), float(augmentation.rand_magnitude))
        if augmentation.policy == "trivial":
            strength = np.floor(for_strength * BINS)
        signed = strength / (BINS - 1) * np.where(for_sign < 0.5, -1, 1)
        x_NCHW = _apply(x_NCHW, chosen, signed, augmentation)
    return x_NCHW


def _apply(
    x_NCHW: Tensor, chosen: NDArray[np.int64], signed: NDArray[np.float64], augmentation: Augmentation
) -> Tensor:
    """One operation a sample; `signed` holds strengths -1..1."""
    result = x_NCHW.clone()
    wide = augmentation.policy == "trivial"
    turn = 135.0 if wide and not augmentation.upright else 30.0  # the largest, in degrees
    moved = np.flatnonzero((chosen > 0) & (chosen < len(GEOMETRIC)))
    if len(moved):
        matrices = np.stack([_matrix(OPERATIONS[chosen[i]], signed[i], x_NCHW.shape[2:], wide, turn) for i in moved])
        at = torch.from_numpy(moved).to(x_NCHW.device)
        result[at] = _warped(x_NCHW[at], torch.from_numpy(matrices).to(x_NCHW))
    for number, name in enumerate(OPERATIONS):
        members = np.flatnonzero(chosen == number)
        if name in PIXEL_OPERATIONS and len(members):
            at = torch.from_numpy(members).to(x_NCHW.device)
            amount = torch.from_numpy(signed[members]).to(x_NCHW)[:, None, None, None]
            result[at] = PIXEL_OPERATIONS[name](x_NCHW[at], amount, wide)
    return result


def _matrix(name: str, signed: float, size: tuple[int, ...], wide: bool, largest: float) -> NDArray[np.float64]:
    """The 2 × 3 matrix from output to input places, in torch's coordinates of -1..1."""
    height, width = size
    shear = (0.99 if wide else 0.3) * signed
    furthest = [min(32, 0.45 * side) if wide else side * 150 / 331 for side in (width, height)]
    turn = math.radians(largest * signed)
    cosine, sine, aspect = math.cos(turn), math.sin(turn), height / width
    return np.array(
        {
            "shear_x": [[1, shear * aspect, 0], [0, 1, 0]],
            "shear_y": [[1, 0, 0], [shear / aspect, 1, 0]],
            "translate_x": [[1, 0, signed * furthest[0] * 2 / width], [0, 1, 0]],
            "translate_y": [[1, 0, 0], [0, 1, signed * furthest[1] * 2 / height]],
            "rotate": [[cosine, sine * aspect, 0], [-sine / aspect, cosine, 0]],
        }[name]
    )


def _warped(x_NCHW: Tensor, matrices_N23: Tensor) -> Tensor:
    grid = F.affine_grid(matrices_N23, list(x_NCHW.shape), align_corners=False)
    return F.grid_sample(x_NCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _enhance(x_NCHW: Tensor, dull_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:
    """Move away from a dull version of the image, or towards it."""
    return torch.lerp(dull_NCHW, x_NCHW, 1 + (0.99 if wide else 0.9) * amount).clamp(0, 1)


def _brightness(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:
    return _enhance(x_NCHW, torch.zeros_like(x_NCHW), amount, wide)


def _saturation(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:
    return _enhance(x_NCHW, gray(x_NCHW).expand_as(x_NCHW), amount, wide)


def _contrast(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:
    return _enhance(x_NCHW, gray(x_NCHW).mean(dim=(1, 2, 3), keepdim=True).expand_as(x_NCHW), amount, wide)


def _sharpness(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:
    kernel = torch.tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=x_NCHW.dtype, device=x_NCHW.device) / 13
    channels = x_NCHW.shape[1]
    blurred = x_NCHW.clone()  # the border stays, as in Pillow's filter
    if min(x_NCHW.shape[2:]) >= 3:
        blurred[:, :, 1:-1, 1:-1] = F.conv2d(x_NCHW, kernel.expand(channels, 1, 3, 3), groups=channels)
    return _enhance(x_NCHW, blurred, amount, wide)


def _posterize(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:
    step = 2 ** torch.round(amount.abs() * (6 if wide else 4))  # 8 bits down to 2, or to 4
    return torch.floor(_levels(x_NCHW) / step) * step / 255


def _solarize(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:  # noqa: ARG001 - the same in both
    return torch.where(x_NCHW >= 1 - amount.abs(), 1 - x_NCHW, x_NCHW)


def _autocontrast(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:  # noqa: ARG001 - has no strength
    low, high = x_NCHW.amin(dim=(2, 3), keepdim=True), x_NCHW.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (x_NCHW - low) / (high - low).clamp_min(1e-6), x_NCHW)


def _equalize(x_NCHW: Tensor, amount: Tensor, wide: bool) -> Tensor:  # noqa: ARG001 - has no strength
    """Spread the levels of each channel evenly, by Pillow's rule."""
    count, channels, height, width = x_NCHW.shape
    levels = _levels(x_NCHW).long().reshape(count * channels, height * width)
    histogram = torch.zeros(count * channels, 256, dtype=torch.long, device=x_NCHW.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels))
    last = levels.amax(dim=1, keepdim=True)
    step = (height * width - histogram.gather(1, last)) // 255
    before = histogram.cumsum(1) - histogram
    table = ((before + step // 2) // step.clamp_min(1)).clamp(0, 255)
    spread = torch.where(step > 0, table.gather(1, levels), levels)
    return (spread.to(x_NCHW.dtype) / 255).reshape(x_NCHW.shape)


def _levels(x_NCHW: Tensor) -> Tensor:
    return torch.round(x_NCHW * 255).clamp(0, 255)


PIXEL_OPERATIONS: dict[str, Callable[[Tensor, Tensor, bool], Tensor]] = {
    "brightness": _brightness,
    "saturation": _saturation,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
OPERATIONS = (*GEOMETRIC, *PIXEL_OPERATIONS)
