"""What training does to images so that the network does not learn their position by heart."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convlens.data.dataset import Dataset
from convlens.errors import ConvlensError

SHIFT, FLIP, CROP = slice(0, 2), 2, slice(3, 7)  # which of a sample's random numbers serves what
RANDOM_NUMBERS = 7
SMALL_IMAGE = 64  # up to this side an image is shifted; above it, crops of random size are taken


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes that leave the class as it is.

    Args:
        shift: largest shift, as a share of the side, in each direction; what comes in is black.
        flip: whether half of the images are mirrored left to right.
        crop_scale: smallest and largest share of the area that a random crop keeps before it is resized to the
            network's size (Szegedy et al. 2014, section 6); None takes no such crops.
        crop_ratio: smallest and largest aspect ratio of that crop.
    """

    shift: float = 0.0
    flip: bool = False
    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 <= self.shift < 1:
            raise ConvlensError(f"augmentation: shift={self.shift}; give a share of the side from 0 to below 1")
        for name, pair in (("crop_scale", self.crop_scale or (1.0, 1.0)), ("crop_ratio", self.crop_ratio)):
            if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
                raise ConvlensError(f"augmentation: {name}={pair}; give two numbers above 0, the smaller one first")
        if self.crop_scale and self.crop_scale[1] > 1:
            raise ConvlensError(f"augmentation: crop_scale={self.crop_scale}; a crop keeps at most 1.0 of the area")

    @classmethod
    def usual_for(cls, dataset: Dataset, size: tuple[int, int]) -> "Augmentation":
        """Shifts for small images, random resized crops for larger ones; flips unless a mirror changes the class."""
        if max(size) <= SMALL_IMAGE:
            return cls(shift=1 / 8, flip=dataset.mirrors)
        return cls(flip=dataset.mirrors, crop_scale=(0.25, 1.0))


def shift_and_flip(images_NHWC: Tensor, augmentation: Augmentation, chances: NDArray[np.float64]) -> Tensor:
    """Shift and mirror a batch in one gather: uint8 (N, H, W, C) to the same, on the same device."""
    if not augmentation.shift and not augmentation.flip:
        return images_NHWC
    count, height, width, _ = images_NHWC.shape
    reach = np.round(augmentation.shift * np.array([height, width])).astype(np.int64)
    offset = np.floor(chances[:, SHIFT] * (2 * reach + 1)).astype(np.int64) - reach
    mirrored = augmentation.flip & (chances[:, FLIP] < 0.5)
    rows = np.arange(height) + offset[:, :1]
    columns = np.arange(width) + offset[:, 1:]
    columns = np.where(mirrored[:, np.newaxis], columns[:, ::-1], columns)
    inside = ((rows >= 0) & (rows < height))[:, :, np.newaxis] & ((columns >= 0) & (columns < width))[:, np.newaxis, :]
    device = images_NHWC.device
    row, column = (torch.from_numpy(i).to(device) for i in (rows.clip(0, height - 1), columns.clip(0, width - 1)))
    sample = torch.arange(count, device=device)
    moved = images_NHWC[sample[:, None, None], row[:, :, None], column[:, None, :]]
    return moved if inside.all() else moved * torch.from_numpy(inside).to(device)[..., None]


def crop_box(
    height: int, width: int, augmentation: Augmentation, chances: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """The (left, top, right, bottom) of one random resized crop, from one sample's numbers (RANDOM_NUMBERS,)."""
    scale, ratio = augmentation.crop_scale or (1.0, 1.0), augmentation.crop_ratio
    for_area, for_ratio, for_top, for_left = chances[CROP]
    area = height * width * (scale[0] + for_area * (scale[1] - scale[0]))
    aspect = float(np.exp(np.log(ratio[0]) + for_ratio * (np.log(ratio[1]) - np.log(ratio[0]))))
    # The classic way draws again until the crop fits; to clip the longer side keeps one draw a sample.
    crop_width, crop_height = min(width, np.sqrt(area * aspect)), min(height, np.sqrt(area / aspect))
    left, top = for_left * (width - crop_width), for_top * (height - crop_height)
    return float(left), float(top), float(left + crop_width), float(top + crop_height)
