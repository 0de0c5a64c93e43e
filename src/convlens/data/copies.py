"""Whether two pictures are one: the same file saved again, resized or mirrored, or only pictures that look alike.

A camera that stands still takes pictures that hardly differ, and none of them is a copy. Two things tell a copy: no
place differs more than saving again explains, and the finest detail, where the pictures are flattest, is the same
grain. Grain is new in each exposure; compression weakens it and makes none. What several other pictures share, such as
a still background, is taken away before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

LONGEST = 1024  # side, in pixels, that is compared at most
_SMALLEST = 16  # shorter side that can be compared: below, only equal pixels are proof
_ROUNDING = 1.5  # pixels that a side may be off when a picture is resized
_REACH = 17  # pixels: two blocks of JPEG, as far as an edge rings
_REACH_RESIZED = 9
_FLATTEST = 0.25  # share of a picture in which the grain is compared
_BLOCK = 4  # side of the places that are compared
_EXPLAINED = 6.0  # times the error that contrast and compression explain
_CHROMA = 12.0  # levels that the colour of 8 × 8 pixels may be off
_GRAINLESS = 0.15  # deviation of the finest detail, in levels: a drawing has less, a photograph has more
_CORRELATION = 0.05  # of the grain of two pictures, at least
_CORRELATION_LEFT = 0.12  # the same after backgrounds are taken away, of which two pictures may be each other's copies
_DEVIATIONS = 5.0  # by which the correlation must exceed that of chance
_BACKGROUND = 3  # other pictures that a background is the mean of

Picture = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    luma: NDArray[np.float32]  # (H, W)
    chroma: NDArray[np.float32]  # (H, W, 2)


def are_copies(a_HWC: Picture, b_HWC: Picture, others: Sequence[Picture] = ()) -> bool:
    """Whether one picture is proven to be the other, saved again or resized. Unproven is not disproven.

    Args:
        a_HWC, b_HWC: upright, uint8 (H, W, 3), of any sizes.
        others: pictures that look like both and are as different from them as such pictures are, best six or more.
    """
    if a_HWC.shape == b_HWC.shape and np.array_equal(a_HWC, b_HWC):
        return True
    size = _common_size(a_HWC, b_HWC)
    if size is None:
        return False
    a, b = _prepared(a_HWC, size), _prepared(b_HWC, size)
    reach = _REACH if a_HWC.shape == b_HWC.shape else _REACH_RESIZED
    contrast = np.minimum(_contrast(a.luma, reach), _contrast(b.luma, reach))
    if not _explained(a, b, contrast):
        return False
    return _same_grain(a.luma, b.luma, contrast, [_prepared(other, size).luma for other in others])


def _common_size(a_HWC: Picture, b_HWC: Picture) -> tuple[int, int] | None:
    """The (H, W) that two pictures can be compared at; None where none could be proof.

    Programs differ in how they resize, and least at half the size of the smaller one.
    """
    small, large = sorted((a_HWC.shape[:2], b_HWC.shape[:2]))
    if small == large:
        height, width = small
    else:
        scale = (small[0] * small[1] / (large[0] * large[1])) ** 0.5
        if any(abs(side * scale - there) > _ROUNDING for side, there in zip(large, small, strict=True)):
            return None
        height, width = small[0] // 2, small[1] // 2
    if max(height, width) > LONGEST:
        height, width = (round(side * LONGEST / max(height, width)) for side in (height, width))
    return (height, width) if min(height, width) >= _SMALLEST else None


def _prepared(picture_HWC: Picture, size: tuple[int, int]) -> _Prepared:
    image = Image.fromarray(picture_HWC)
    if picture_HWC.shape[:2] != size:
        image = image.resize(size[::-1], Image.Resampling.BOX)
    pixels = np.asarray(image.convert("YCbCr"), np.float32)
    return _Prepared(luma=pixels[..., 0], chroma=pixels[..., 1:])


def _explained(a: _Prepared, b: _Prepared, contrast: NDArray[np.float32]) -> bool:
    """Whether saving again explains the largest local difference: errors grow with the contrast around them, and are
    much the same all over a picture. Contrast counts that both pictures have; a scratch is in one of them only.
    """
    error = _means(np.square(a.luma - b.luma), _BLOCK)
    usual = float(np.median(error))
    allowed = 2 + 4 * usual + 0.02 * np.square(_means(contrast, _BLOCK))
    if float((error / allowed).max()) > _EXPLAINED:
        return False
    return float(np.abs(_means(a.chroma - b.chroma, 2 * _BLOCK)).max()) <= _CHROMA


def _contrast(luma: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The range of the values around each pixel."""
    spread = ndimage.maximum_filter(luma, reach) - ndimage.minimum_filter(luma, reach)
    return np.asarray(spread, np.float32)


def _means(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The means of blocks; what is left over at the ends is averaged as well, in smaller ones."""
    rows, columns = (np.arange(0, length, side) for length in values.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, end)) for starts, end in zip((rows, columns), values.shape, strict=False)
    )
    counts = np.multiply.outer(heights, widths).astype(np.float32)
    return np.asarray(sums / counts.reshape(*counts.shape, *[1] * (values.ndim - 2)), np.float32)


def _same_grain(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    contrast: NDArray[np.float32],
    others: Sequence[NDArray[np.float32]],
) -> bool:
    """Whether the finest detail in the flattest part of the pictures is correlated, or there is none in either."""
    flat = contrast <= np.quantile(contrast, _FLATTEST)
    least = _CORRELATION
    if len(others) >= 2 * _BACKGROUND:  # one background each: what they had in common would be found again
        a = a - np.mean(others[:_BACKGROUND], axis=0)
        b = b - np.mean(others[_BACKGROUND : 2 * _BACKGROUND], axis=0)
        least = _CORRELATION_LEFT
    grain_a, grain_b = (_without_outliers(_finest(luma)[flat]) for luma in (a, b))
    deviations = float(grain_a.std()), float(grain_b.std())
    if max(deviations) < _GRAINLESS:
        return True
    if min(deviations) == 0:
        return False
    correlation = float(np.mean((grain_a - grain_a.mean()) * (grain_b - grain_b.mean()))) / (
        deviations[0] * deviations[1]
    )
    return correlation >= max(least, _DEVIATIONS / math.sqrt(len(grain_a)))


def _without_outliers(grain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut to what noise reaches: an edge that both pictures have, and the others have not, is no grain."""
    most = 4 * float(np.median(np.abs(grain)))  # 2.7 standard deviations of what is normally distributed
    return grain.clip(-most, most) if most else grain


def _finest(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(luma - ndimage.uniform_filter(luma, 5), np.float32)
