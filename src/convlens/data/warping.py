"""Where the pixels of an augmented image come from: random crops, shifts and mirrors."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convlens.data.augmentation import Augmentation


def crop_box(size: tuple[int, ...], augmentation: Augmentation, chances: Sequence[float]) -> tuple[int, int, int, int]:
    """The (top, left, height, width) of one random resized crop, from four of a sample's random numbers."""
    height, width = size
    (low, high), ratio = augmentation.crop_scale or (1.0, 1.0), augmentation.crop_ratio
    for_area, for_ratio, for_top, for_left = chances
    area = height * width * (low + for_area * (high - low))
    aspect = ratio[0] * (ratio[1] / ratio[0]) ** for_ratio  # evenly on the logarithm
    # The classic way draws again until the crop fits into the image. To clip its longer side needs one draw a sample.
    crop_width = min(width, max(1, round((area * aspect) ** 0.5)))
    crop_height = min(height, max(1, round((area / aspect) ** 0.5)))
    top, left = int(for_top * (height - crop_height + 1)), int(for_left * (width - crop_width + 1))
    return top, left, crop_height, crop_width


def resized(image_HWC: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Resize with antialiasing, bilinear: uint8 (H, W, C) to uint8 (*size, C)."""
    place = torch.empty((*size, image_HWC.shape[2]), dtype=torch.uint8)
    resize_into(place, image_HWC)
    return place


def resize_into(place_HWC: Tensor, image_HWC: NDArray[np.uint8], *, mirror: bool = False) -> None:
    """Resize as `resized` does, to where the result is wanted, uint8 (H, W, C), and mirror it there."""
    # Channels last and contiguous is what torch's vectorised uint8 kernel wants: a quarter of Pillow's time.
    pixels = torch.from_numpy(np.ascontiguousarray(image_HWC))[None].permute(0, 3, 1, 2)
    place = place_HWC[None].permute(0, 3, 1, 2)
    if pixels.shape == place.shape:
        place.copy_(pixels)
    else:
        # What torch.nn.functional.interpolate calls; it has no `out` itself, and a copy costs a tenth of the resize.
        resize = torch._C._nn._upsample_bilinear2d_aa
        resize(pixels, place.shape[2:], False, None, None, out=place)  # type: ignore[call-arg]  # stubs lack `out`
    if mirror:
        place.copy_(place.flip(3))


def shifted(images_NHWC: Tensor, reach: float, chances: NDArray[np.float64]) -> Tensor:
    """Shift each image by up to `reach` of its side, black coming in: uint8 (N, H, W, C) to the same.

    Args:
        images_NHWC: on any device.
        reach: share of the side.
        chances: two random numbers a sample, (N, 2).
    """
    count, height, width, _ = images_NHWC.shape
    furthest = np.round(reach * np.array([height, width])).astype(np.int64)
    offsets = np.floor(chances * (2 * furthest + 1)).astype(np.int64) - furthest
    rows, columns = np.arange(height) + offsets[:, :1], np.arange(width) + offsets[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    device = images_NHWC.device
    row, column = (torch.from_numpy(i).to(device) for i in (rows.clip(0, height - 1), columns.clip(0, width - 1)))
    sample = torch.arange(count, device=device)
    moved = images_NHWC[sample[:, None, None], row[:, :, None], column[:, None, :]]
    return moved * torch.from_numpy(inside).to(device)[..., None]


def flipped(images_NHWC: Tensor, chances: NDArray[np.float64]) -> Tensor:
    """Mirror left to right where a sample's number is below one half: uint8 (N, H, W, C) to the same."""
    chosen = torch.from_numpy(chances < 0.5).to(images_NHWC.device)
    return torch.where(chosen[:, None, None, None], images_NHWC.flip(2), images_NHWC)
