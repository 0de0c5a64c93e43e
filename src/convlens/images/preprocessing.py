"""The one definition of preprocessing: what happens to an image between the file and the network."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convlens.errors import ConvlensError, unknown_name
from convlens.files import write_text
from convlens.images.pictures import to_pillow
from convlens.images.reading import MAX_PIXELS, ImageError, read

Interpolation = Literal["nearest", "bilinear", "bicubic"]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
MAX_SIDE = 16_384  # pixels; a million would take terabytes
# A JPEG is decoded at no less than this many times the wanted size, so that the result stays that of the full image.
_DECODING_MARGIN = 2


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize, crop, scale to 0..1, subtract the mean, divide by the standard deviation; in this order.

    Args:
        size: (H, W) that the network receives.
        mean: per channel, of values 0..1.
        std: per channel, of values 0..1.
        resize: length of the shorter side after resizing, the aspect ratio kept; or (H, W); or None for none.
        crop: `"center"`, or None when the resized image already has `size`. What a crop lacks is filled with black.
        interpolation: of the resize.
        antialias: whether the resize averages over all the pixels that it merges when it shrinks.
        channels: 3 for RGB, 1 for gray.

    >>> Preprocessing(size=(8, 8), mean=(0.5,), std=(0.5,), channels=1).apply(np.full((8, 8, 1), 255, np.uint8)).max()
    np.float32(1.0)
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | tuple[int, int] | None = None
    crop: Literal["center"] | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    channels: int = 3

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ConvlensError(f"preprocessing: channels={self.channels}; use 3 for RGB or 1 for gray")
        for name in ("size", "resize", "mean", "std"):  # lists from YAML, JSON or a user are as good
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        _check_size("size", self.size)
        if isinstance(self.resize, tuple):
            _check_size("resize", self.resize)
        elif self.resize is not None and not (_is_whole(self.resize) and 1 <= self.resize <= MAX_SIDE):
            raise ConvlensError(f"preprocessing: resize={self.resize!r}; use a shorter side of 1 to {MAX_SIDE:,}")
        if self.interpolation not in _RESAMPLING:
            raise unknown_name("interpolation", str(self.interpolation), _RESAMPLING)
        if self.crop not in ("center", None):
            raise ConvlensError(f"preprocessing: crop={self.crop!r}; use 'center' or None")
        if self.crop is None and self.resize not in (None, self.size):
            raise ConvlensError(
                f"preprocessing: resize={self.resize} without a crop does not give size={self.size}; "
                f"use crop='center' or resize={self.size}"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not isinstance(values, tuple) or len(values) != self.channels or not all(map(_is_finite, values)):
                raise ConvlensError(f"preprocessing: {name}={values}; give one number a channel, {self.channels}")
        if min(self.std) <= 0:
            raise ConvlensError(f"preprocessing: std={self.std}; every one must be above 0")

    def apply(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn an image into what the network receives: uint8 (H, W, C) to float32 (C, H, W)."""
        return self.normalize(self.fit(image_HWC))

    def open(self, source: str | Path | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.float32]:
        """Read a file and turn it into what the network receives, float32 (C, H, W).

        Raises:
            ImageError: as `read` does; for an image of more than `max_pixels` before it is decoded.
        """
        return self.apply(read(source, channels=self.channels, at_least=self.decoding_size(), max_pixels=max_pixels))

    def at_size(self, size: tuple[int, int] | None) -> "Preprocessing":
        """The same for images of another (H, W); what a crop cuts off stays the same share. None changes nothing."""
        if size is None or size == self.size:
            return self
        resize = self.resize
        if isinstance(resize, int):
            resize = max(round(resize * side / old) for side, old in zip(size, self.size, strict=True))
        elif resize is not None:
            resize = size
        return replace(self, size=size, resize=resize)

    def decoding_size(self) -> tuple[int, int] | None:
        """The (H, W) that a decoder may scale down to without changing the result visibly; None for the full size."""
        if self.resize is None or not self.antialias or self.interpolation == "nearest":
            return None
        height, width = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
        return height * _DECODING_MARGIN, width * _DECODING_MARGIN

    def fit(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and crop only: uint8 (H, W, C) to uint8 (H', W', C) of `size`."""
        if (
            image_HWC.ndim != 3
            or image_HWC.dtype != np.uint8
            or image_HWC.shape[2] != self.channels
            or not image_HWC.size
        ):
            raise ImageError(
                f"the image is {image_HWC.dtype} {image_HWC.shape}; "
                f"this preprocessing takes uint8 (H, W, {self.channels})"
            )
        resized = self._resized(image_HWC)
        if self.crop == "center":
            return _center_crop(resized, self.size)
        if resized.shape[:2] != self.size:
            raise ImageError(
                f"the image has {resized.shape[0]} × {resized.shape[1]} pixels and this preprocessing, which does not "
                f"resize, takes {self.size[0]} × {self.size[1]}"
            )
        return resized

    def normalize(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scale to 0..1, subtract the mean, divide by the deviation: uint8 (..., H, W, C) to float32 (..., C, H, W)."""
        scale, offset = self.scale_and_offset()
        return np.ascontiguousarray(np.moveaxis(image_HWC.astype(np.float32) * scale + offset, -1, -3))

    def undo(self, x_CHW: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """Undo `normalize`, to look at what a network sees: float (..., C, H, W) to uint8 (..., H, W, C).

        Values that no image has are cut to 0..255; an image that went through `normalize` comes back exactly.
        """
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        values = np.moveaxis(np.asarray(x_CHW, np.float32), -3, -1) * std + mean
        return np.asarray(np.rint(values * 255).clip(0, 255), np.uint8)

    def scale_and_offset(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a value 0..255 is multiplied by, and what is then added, float32 (C,): the same as scaling to 0..1,
        subtracting the mean and dividing by the deviation.
        """
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML or JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Rebuild from what `to_dict` gave; an unknown or missing key is an error."""
        known = {field.name for field in fields(cls)}
        for key in values:
            if key not in known:
                raise unknown_name("preprocessing key", str(key), sorted(known))
        for key in ("size", "mean", "std"):
            if key not in values:
                raise ConvlensError(f"preprocessing: {key} is missing; give it")
        return cls(**dict(values))

    def save(self, path: str | Path) -> None:
        """Write to a .json, .yaml or .yml file."""
        if _is_json(path):
            write_text(path, json.dumps(self.to_dict(), indent=2) + "\n")
        else:
            import yaml

            write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))

    @classmethod
    def load(cls, path: str | Path) -> "Preprocessing":
        """Read what `save` wrote."""
        from convlens.untrusted.documents import read_document

        try:
            values = json.loads(Path(path).read_text(encoding="utf-8")) if _is_json(path) else read_document(Path(path))
        except OSError as error:
            raise ConvlensError(f"{path} cannot be opened: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise ConvlensError(f"{path} cannot be parsed: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise ConvlensError(f"{path} holds no preprocessing; write one with Preprocessing.save")
        return cls.from_dict(values)

    def _resized(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.resize is None:
            return image_HWC
        height, width = self.resize if isinstance(self.resize, tuple) else _shorter_side(image_HWC.shape, self.resize)
        if image_HWC.shape[:2] == (height, width):
            return image_HWC
        if height * width > MAX_PIXELS:  # a strip whose shorter side is enlarged
            raise ImageError(
                f"the image has {image_HWC.shape[0]} × {image_HWC.shape[1]} pixels, {height:,} × {width:,} after the "
                f"resize to {self.resize}; cut it to a shape that is less long"
            )
        picture = to_pillow(image_HWC)
        resampling = _RESAMPLING[self.interpolation]
        if self.antialias:
            picture = picture.resize((width, height), resampling)
        else:
            whole = (0, 0, picture.width, picture.height)
            picture = picture.transform((width, height), Image.Transform.EXTENT, whole, resampling)
        pixels = np.array(picture)  # a copy, since Pillow lends its memory for reading only
        return pixels[:, :, np.newaxis] if self.channels == 1 else pixels


def _check_size(name: str, size: Any) -> None:
    if not isinstance(size, tuple) or len(size) != 2 or not all(_is_whole(side) and side >= 1 for side in size):
        raise ConvlensError(f"preprocessing: {name}={size!r}; give two whole numbers (height, width)")
    if max(size) > MAX_SIDE:
        raise ConvlensError(f"preprocessing: {name}={size!r}; use sides of at most {MAX_SIDE:,}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float, np.floating)) and math.isfinite(value)


def _shorter_side(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """The size with this shorter side and the same aspect ratio, the longer side rounded down as torchvision does."""
    height, width = shape[:2]
    return (side, max(1, side * width // height)) if height <= width else (max(1, side * height // width), side)


def _center_crop(image_HWC: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    lacking = [max(0, wanted - there) for wanted, there in zip(size, image_HWC.shape, strict=False)]
    if any(lacking):
        before_after = [(lack // 2, lack - lack // 2) for lack in lacking]
        image_HWC = np.pad(image_HWC, [*before_after, (0, 0)])
    top, left = (round((there - wanted) / 2) for wanted, there in zip(size, image_HWC.shape, strict=False))
    return image_HWC[top : top + size[0], left : left + size[1]]


def _is_json(path: str | Path) -> bool:
    suffix = Path(path).suffix.lower()
    if suffix not in (".json", ".yaml", ".yml"):
        raise ConvlensError(f"{path}: a preprocessing is saved as .json, .yaml or .yml")
    return suffix == ".json"
