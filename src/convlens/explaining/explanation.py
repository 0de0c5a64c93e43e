"""What a heat map is, whatever it was made by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convlens.errors import ConvlensError, unknown_name

# method -> what its map says
METHODS = {
    "gradcam": "channels of the last layer with a height and a width, weighed by their mean gradient",
    "gradcam++": "the same with a weight for every place, better where a class is there several times",
    "eigencam": "first principal component of that layer, whatever the class",
    "occlusion": "fall of the probability when a square is covered; slow, and asks nothing of the network",
    "integrated-gradients": "pixels' shares of the score, along the way from a blank image",
}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What spoke for a class on one image.

    Attributes:
        method: one of `METHODS`.
        target: index of the class.
        layer: the module that was read; "" for methods that read none.
        raw: (h, w), the map in the method's own units and size.
        heat: (H, W), the map in the size of the network's input, 0..1; 0 everywhere if nothing spoke for the class.
    """

    method: str
    target: int
    layer: str
    raw: NDArray[np.float32]
    heat: NDArray[np.float32]


def check_options(method: str, layer: str | None, patch: int | None) -> None:
    """Check that there is such a method, and that it has a use for what was asked.

    Raises:
        ConvlensError: there is not, or it has not.
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if layer is not None and method in ("occlusion", "integrated-gradients"):
        raise ConvlensError(f"{method} reads no layer; leave the layer {layer!r} out")
    if patch is not None and method != "occlusion":
        raise ConvlensError(f"{method} covers nothing; leave the patch {patch} out")


def from_map(method: str, target: int, layer: str, raw: NDArray[np.float32], size: tuple[int, int]) -> Explanation:
    """Give the map in the size (H, W) of the network's input, from 0 to 1."""
    height, width = size
    heat = np.maximum(raw, 0).astype(np.float32)
    if heat.shape != (height, width):
        heat = np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR))
    highest = float(heat.max())
    heat = heat / highest if highest > 0 else np.zeros_like(heat)
    return Explanation(method=method, target=target, layer=layer, raw=raw, heat=heat)


def check_target(target: int, classes: int) -> int:
    """Give the index of a class back, if there is one of that number.

    Raises:
        ConvlensError: there is not.
    """
    if not 0 <= target < classes:
        raise ConvlensError(f"target is {target}; the network has classes 0 to {classes - 1}")
    return target
