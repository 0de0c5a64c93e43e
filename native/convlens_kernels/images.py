"""From image files to what a network receives, with Pillow alone: as convlens.images does it, to the last bit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Image.preinit()
# only these decoders are tried, so that a stranger's file cannot reach an obscure one
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_MOST_PIXELS = 178_956_970
_MOST_BYTES = 200_000_000
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 16_384


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_side, value))


def _are_numbers(value: Any, count: int) -> bool:
    numbers = isinstance(value, tuple) and all(type(n) in (int, float) and abs(n) < 1e6 for n in value)
    return numbers and len(value) == count


class ImageError(ValueError):
    """A file that cannot be turned into an image; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize and crop to `size` (H, W), scale to 0..1, subtract `mean`, divide by `std`; fields as in convlens."""

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | tuple[int, int] | None = None
    crop: str | None = None
    interpolation: str = "bilinear"
    antialias: bool = True
    channels: int = 3

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """What the metadata of a plan holds. ValueError if something is missing, unknown or wrong."""
        try:
            made = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in dict(values).items()})
        except (TypeError, ValueError) as error:
            raise ValueError(f"preprocessing: {error}") from None
        right = {
            "size": _is_size(made.size),
            "resize": made.resize is None or _is_side(made.resize) or _is_size(made.resize),
            "crop": made.crop in ("center", None),
            "interpolation": isinstance(made.interpolation, str) and made.interpolation in _RESAMPLING,
            "antialias": isinstance(made.antialias, bool),
            "channels": made.channels in (1, 3),
            "mean": _are_numbers(made.mean, made.channels),
            "std": _are_numbers(made.std, made.channels) and 0 not in made.std,
        }
        for name, fits in right.items():
            if not fits:
                raise ValueError(f"preprocessing: {name} cannot be {str(getattr(made, name))[:60]}")
        return made

    def open(self, source: str | Path | bytes | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A file, its bytes or its pixels (H, W, C) as uint8 (H, W, C) of `size`. ImageError if it is no image."""
        return self._fit(source if isinstance(source, np.ndarray) else self._read(source))

    def normalize(self, images_NHWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The uint8 (N, H, W, C) as float32 (N, C, H, W)."""
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        scale, offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(images_NHWC.astype(np.float32) * scale + offset, -1, -3))

    def _read(self, source: str | Path | bytes) -> npt.NDArray[np.uint8]:
        name = "the image" if isinstance(source, bytes) else str(source)
        try:
            if isinstance(source, bytes):
                content = source
            else:
                with Path(source).open("rb") as file:
                    content = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise ImageError(f"{name} cannot be opened: {error.strerror or error}") from None
        if len(content) > _MOST_BYTES:
            raise ImageError(f"{name} has more than {_MOST_BYTES:,} bytes; shrink it")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(BytesIO(content), formats=_FORMATS) as image:
                    if image.width * image.height > _MOST_PIXELS:
                        raise ImageError(f"{name} declares more than {_MOST_PIXELS:,} pixels; shrink it")
                    self._decode_scaled(image, len(content))
                    image.load()
                    upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
                    return _pixels(upright, self.channels)
        except ImageError:
            raise
        # decoders meet hostile bytes with nearly every built-in exception; each means that this file cannot be read
        except Exception as error:
            raise ImageError(f"{name} cannot be decoded: {' '.join(str(error).split())}") from None

    def _decode_scaled(self, image: Any, size: int) -> None:
        """Let libjpeg scale down while it decodes, to no less than twice what the resize wants."""
        if image.format not in ("JPEG", "MPO"):
            return
        image.decodermaxblock = size
        if self.resize is None or not self.antialias or self.interpolation == "nearest":
            return
        height, width = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
        height, width = 2 * height, 2 * width
        if _orientation(image) in _SIDEWAYS:
            height, width = width, height
        if height <= image.height and width <= image.width:
            image.draft("L" if self.channels == 1 and image.mode == "RGB" else None, (width, height))

    def _fit(self, image_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if image_HWC.dtype != np.uint8 or image_HWC.ndim != 3 or image_HWC.shape[2] != self.channels:
            raise ImageError(f"the image is {image_HWC.dtype} {image_HWC.shape}, not uint8 (H, W, {self.channels})")
        resized = self._resized(image_HWC)
        if self.crop == "center":
            return _center_crop(resized, self.size)
        if resized.shape[:2] != tuple(self.size):
            raise ImageError(f"the image has {resized.shape[0]} x {resized.shape[1]} pixels, not {self.size}")
        return resized

    def _resized(self, image_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.resize is None:
            return image_HWC
        height, width = image_HWC.shape[:2]
        if isinstance(self.resize, tuple):
            height, width = self.resize
        elif height <= width:
            height, width = self.resize, max(1, self.resize * width // height)
        else:
            height, width = max(1, self.resize * height // width), self.resize
        if image_HWC.shape[:2] == (height, width):
            return image_HWC
        if height * width > _MOST_PIXELS:
            raise ImageError(f"the image would have {height:,} x {width:,} pixels after the resize to {self.resize}")
        picture = Image.fromarray(image_HWC[:, :, 0] if self.channels == 1 else image_HWC)
        if self.antialias:
            picture = picture.resize((width, height), _RESAMPLING[self.interpolation])
        else:
            whole = (0, 0, picture.width, picture.height)
            resampling: Any = _RESAMPLING[self.interpolation]
            picture = picture.transform((width, height), Image.Transform.EXTENT, whole, resampling)
        pixels = np.array(picture)
        return pixels[:, :, np.newaxis] if self.channels == 1 else pixels


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block says nothing about the picture
        return 1


def _pixels(image: Image.Image, channels: int) -> npt.NDArray[np.uint8]:
    if image.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N", "F"):
        if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
            raise ValueError("its pixels are 32-bit numbers, whose range no file states; save it with 8 or 16 bits")
        values = np.asarray(image).astype(np.uint32)
        eight = ((values * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8)
        eight[values == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(eight)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    wanted = "L" if channels == 1 else "RGB"
    if image.mode not in (wanted, "L"):
        image = image.convert("RGB")
    if image.mode != wanted:
        image = image.convert(wanted)
    pixels = np.array(image, dtype=np.uint8)
    return pixels[:, :, np.newaxis] if channels == 1 else pixels


def _center_crop(image_HWC: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    lacking = [max(0, wanted - there) for wanted, there in zip(size, image_HWC.shape[:2], strict=True)]
    if any(lacking):
        image_HWC = np.pad(image_HWC, [*((lack // 2, lack - lack // 2) for lack in lacking), (0, 0)])
    top, left = (round((there - wanted) / 2) for wanted, there in zip(size, image_HWC.shape[:2], strict=True))
    return image_HWC[top : top + size[0], left : left + size[1]]
