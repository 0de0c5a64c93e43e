"""Erasing, and mixing the images and labels of a batch."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convlens.data.augmentation import Augmentation


class Mixed(NamedTuple):
    """A batch in which each image may hold a second one: pixels (N, C, H, W) and label shares (N, K)."""

    images: Tensor
    soft_labels: Tensor


def erased(x_NCHW: Tensor, share: float, chances: NDArray[np.float64]) -> Tensor:
    """Blank, in place, 2 to 33 % of the area in a share of normalised images, by five random numbers each (N, 5).

    The rectangle becomes 0, the mean colour after normalisation (Zhong et al. 2017, section 3).
    """
    if share == 0:
        return x_NCHW
    height, width = x_NCHW.shape[2:]
    area = (0.02 + chances[:, 1] * (0.33 - 0.02)) * height * width
    ratio = 0.3 * (3.3 / 0.3) ** chances[:, 2]
    sides = np.sqrt(area * ratio).clip(1, height), np.sqrt(area / ratio).clip(1, width)
    inside = rectangles(sides, chances[:, 3:5], (height, width)) & (chances[:, 0] < share)[:, None, None]
    return x_NCHW.masked_fill_(torch.from_numpy(inside).to(x_NCHW.device)[:, None], 0)


def mixed(
    x_NCHW: Tensor,
    labels_N: Tensor,
    classes: int,
    augmentation: Augmentation,
    generator: np.random.Generator,
    part: tuple[slice, int] | None = None,
) -> Mixed:
    """Blend each image with its neighbour in the batch (mixup), or paste a rectangle of the neighbour (cutmix).

    Args:
        x_NCHW: a batch, or a part of one with the neighbour of its first image before it.
        labels_N: the class of each.
        classes: how many there are.
        augmentation: how strongly it is mixed.
        generator: of the step.
        part: which part, of how many images; it is mixed as it is in the whole batch. None for the whole batch.
    """
    one_hot = torch.nn.functional.one_hot(labels_N, classes).to(x_NCHW.dtype)
    both = augmentation.mixup > 0 and augmentation.cutmix > 0
    cut = augmentation.cutmix > 0 and (not both or generator.random() < 0.5)
    alpha = augmentation.cutmix if cut else augmentation.mixup
    own, count = part or (slice(None), len(x_NCHW))
    kept = generator.beta(alpha, alpha, size=count)[own]
    if part is None:
        partner, other = x_NCHW.roll(1, dims=0), one_hot.roll(1, dims=0)
    else:
        partner, other, x_NCHW, one_hot = x_NCHW[:-1], one_hot[:-1], x_NCHW[1:], one_hot[1:]
    if cut:
        height, width = x_NCHW.shape[2:]
        sides = height * np.sqrt(1 - kept), width * np.sqrt(1 - kept)
        inside = rectangles(sides, generator.random((count, 2))[own], (height, width))
        kept = 1 - inside.mean(axis=(1, 2))  # the share that is really seen
        images = torch.where(torch.from_numpy(inside).to(x_NCHW.device)[:, None], partner, x_NCHW)
    else:
        weight = torch.from_numpy(kept).to(x_NCHW)[:, None, None, None]
        images = torch.lerp(partner, x_NCHW, weight)
    weight = torch.from_numpy(kept).to(x_NCHW)[:, None]
    images = images.contiguous(memory_format=torch.channels_last)
    return Mixed(images, torch.lerp(other, one_hot, weight))


def rectangles(
    sides: tuple[NDArray[np.float64], NDArray[np.float64]], places: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Masks (N, H, W), true inside one rectangle each that lies wholly in the image; `places` (N, 2) in 0..1."""
    spans = []
    for side, place, length in zip(sides, places.T, size, strict=True):
        side = np.round(side)
        start = np.floor(place * (length - side + 1))[:, None]
        at = np.arange(length)
        spans.append((at >= start) & (at < start + side[:, None]))
    return np.asarray(spans[0][:, :, None] & spans[1][:, None, :], np.bool_)


def mixing_generator(seed: int, epoch: int, step: int) -> np.random.Generator:
    """The generator of one step's mixing: a function of seed, epoch and step."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([abs(seed), epoch, step])))
