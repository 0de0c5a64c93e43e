"""Where on a picture a classifier sees which class: its head slid over a larger picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from convlens import files
from convlens.errors import ConvlensError
from convlens.images import Preprocessing, to_pillow
from convlens.networks import fully_convolutional


@dataclass(frozen=True, kw_only=True)
class ClassMap:
    """Probabilities of every class for every place of a picture.

    Attributes:
        probabilities: (K, h, w), sums to one over the classes.
        picture: uint8 (H, W, C) that the network saw.
        window: (height, width) of the picture that one unit of the map sees.
    """

    probabilities: NDArray[np.float32]
    picture: NDArray[np.uint8]
    window: tuple[int, int]

    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the map on the picture, each unit around the middle of its window."""
        sides = []
        for pixels, window, units in zip(self.picture.shape, self.window, self.probabilities.shape[1:], strict=False):
            stride = (pixels - window) / (units - 1) if units > 1 else window
            sides.append((window / 2 - stride / 2, window / 2 + (units - 0.5) * stride))
        (top, bottom), (left, right) = sides
        return left, right, bottom, top


def class_map(
    network: nn.Module, preprocessing: Preprocessing, image_HWC: NDArray[np.uint8], *, zoom: float = 2.0
) -> ClassMap:
    """Classify every place of a picture that is `zoom` times as large as the images that the network was made for.

    Args:
        network: a classifier; it is copied and made fully convolutional for images of `preprocessing.size`.
        preprocessing: what its images go through; the crop is left out.
        image_HWC: uint8, as `convlens.images.read` gives it.
        zoom: shorter side of the picture, in shorter sides of `preprocessing.size`; at least 1.

    Raises:
        ConvlensError: `zoom` below one, or a network whose head cannot slide.
    """
    if zoom < 1:
        raise ConvlensError(f"zoom={zoom!r} must be at least 1, so that the picture is no smaller than one window")
    sliding = fully_convolutional(network, size=preprocessing.size)
    picture = _enlarged(image_HWC, preprocessing.size, zoom)
    parameter = next(sliding.parameters())
    x = torch.from_numpy(preprocessing.normalize(picture)[None]).to(parameter.device, parameter.dtype)
    with torch.inference_mode():
        probabilities: NDArray[np.float32] = torch.softmax(sliding(x).float(), dim=1)[0].cpu().numpy()
    return ClassMap(probabilities=probabilities, picture=picture, window=preprocessing.size)


def draw_class_map(found: ClassMap, classes: Sequence[str], path: str | Path, *, top: int = 3) -> None:
    """Write a PNG: the picture, and on it where each of its likeliest classes is seen."""
    from matplotlib.figure import Figure

    strongest = found.probabilities.max(axis=(1, 2))
    chosen = np.argsort(-strongest, kind="stable")[: min(top, len(classes))]
    figure = Figure(figsize=(3.0 * (len(chosen) + 1), 3.4), dpi=120, layout="constrained")
    axes = figure.subplots(1, len(chosen) + 1)
    gray = found.picture.shape[2] == 1
    picture = found.picture[:, :, 0] if gray else found.picture
    height, width = picture.shape[:2]
    for place in axes:
        place.imshow(picture, cmap="gray" if gray else None, extent=(0, width, height, 0), vmin=0, vmax=255)
        place.set_axis_off()
    axes[0].set_title("what the network saw", fontsize=9)
    for place, index in zip(axes[1:], chosen, strict=True):
        layer = found.probabilities[index]
        drawn = place.imshow(layer, cmap="viridis", alpha=0.6, vmin=0, vmax=1, extent=found.extent())
        place.set(xlim=(0, width), ylim=(height, 0))
        place.set_title(f"{classes[index]}, up to {strongest[index]:.0%}", fontsize=9)
    figure.colorbar(drawn, ax=list(axes), shrink=0.8, label="probability")
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _enlarged(image_HWC: NDArray[np.uint8], size: tuple[int, int], zoom: float) -> NDArray[np.uint8]:
    """The whole image, its aspect ratio kept, not smaller than `zoom` times the size in either direction."""
    height, width = image_HWC.shape[:2]
    factor = max(zoom * size[0] / height, zoom * size[1] / width)
    gray = image_HWC.shape[2] == 1
    image = to_pillow(image_HWC)
    new = (max(size[1], round(width * factor)), max(size[0], round(height * factor)))
    pixels = np.asarray(image.resize(new, Image.Resampling.BICUBIC))
    return pixels[:, :, np.newaxis] if gray else pixels
