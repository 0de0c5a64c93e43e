"""What one image says about itself: how it is stored, how it looks, and what it would be recognised by."""

import hashlib
import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convlens.data.dataset import Dataset, Record
from convlens.images import ImageError, Stored, read_stored

_LOOK = (128, 128)  # the size, at least, at which an image is looked at
_HASHED = 32  # side of the gray picture that the perceptual hash is computed from
_ALIKE = 8  # levels of 255 that a pixel may be off the commonest and count as alike
_COMPRESSED = 0.006  # deviation of the Laplacian that JPEG leaves in a picture without detail
_VALUES = np.arange(256, dtype=np.float64)
THUMB = 16  # side of the gray picture by which a near duplicate is confirmed


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one image; `reason` says why it cannot be read, and then the rest is empty."""

    record: Record
    split: str
    reason: str = ""
    digest: bytes = b""  # of the pixels that were decoded
    exact: bool = True  # whether all of them were decoded, so that equal digests are equal pixels
    height: int = 0
    width: int = 0
    stored: tuple[str, ...] = ()  # animated, cmyk, sixteen_bit, rotated
    darkest: float = 0.0  # 5th and 95th percentile of the luma, 0..1
    brightest: float = 1.0
    spread: float = 1.0  # standard deviation of the luma, 0..1
    alike: float = 0.0  # share of the pixels around the commonest luma
    sharpness: float = 1.0  # of the luma, see _sharpness
    colourless: bool = False
    perceptual: int = 0  # 64 bits
    mirrored: int = 0  # the same of the mirror image
    thumb: NDArray[np.uint8] | None = None  # THUMB × THUMB, gray
    mirrored_thumb: NDArray[np.uint8] | None = None  # the same of the mirror image; boxes that divide no side differ


class _Luma(TypedDict):
    darkest: float
    brightest: float
    spread: float
    alike: float
    sharpness: float


def facts_of(dataset: Dataset, split: str, record: Record) -> Facts:
    """Read one image and note what it says; what cannot be read is noted as that."""
    try:
        content = dataset.source.encoded(record)
        if content is not None:
            pixels, stored = read_stored(content, at_least=_LOOK)
        else:
            pixels = dataset.read(record, channels=3)
            stored = Stored(height=pixels.shape[0], width=pixels.shape[1])
    except ImageError as error:
        return Facts(record=record, split=split, reason=str(error).replace("the file", record.key, 1))
    gray = Image.fromarray(pixels).convert("L")
    gray = gray.reduce(max(1, min(gray.size) // _LOOK[0]))  # every format is looked at from as far as a JPEG
    small, mirrored = (_boxed(each, _HASHED) for each in (gray, ImageOps.mirror(gray)))
    return Facts(
        record=record,
        split=split,
        digest=hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest(),
        exact=pixels.shape[:2] == (stored.height, stored.width),
        height=stored.height,
        width=stored.width,
        stored=tuple(name for name in ("animated", "cmyk", "sixteen_bit", "rotated") if getattr(stored, name)),
        **_of_luma(np.asarray(gray)),
        colourless=dataset.channels == 3 and _is_colourless(pixels),
        perceptual=_perceptual_hash(small),
        mirrored=_perceptual_hash(mirrored),
        thumb=np.asarray(_boxed(small, THUMB)),
        mirrored_thumb=np.asarray(_boxed(mirrored, THUMB)),
    )


def _boxed(gray: Image.Image, side: int) -> Image.Image:
    return gray.resize((side, side), Image.Resampling.BOX)


def _of_luma(gray_HW: NDArray[np.uint8]) -> _Luma:
    """What the luma says, most of it read off how often each of its 256 values comes."""
    counts = np.bincount(gray_HW.reshape(-1), minlength=256)
    below = np.cumsum(counts) / gray_HW.size
    mean = float(counts @ _VALUES) / gray_HW.size
    spread = math.sqrt(max(0.0, float(counts @ _VALUES**2) / gray_HW.size - mean**2)) / 255
    return {
        "darkest": float(np.searchsorted(below, 0.05)) / 255,
        "brightest": float(np.searchsorted(below, 0.95)) / 255,
        "spread": spread,
        "alike": float(np.convolve(counts, np.ones(2 * _ALIKE + 1)).max()) / gray_HW.size,
        "sharpness": _sharpness(gray_HW, spread),
    }


def _is_colourless(pixels_HWC: NDArray[np.uint8]) -> bool:
    """Whether red, green and blue are the same throughout, up to what compression makes of it."""
    red, green, blue = pixels_HWC[::2, ::2].astype(np.int16).transpose(2, 0, 1)
    return all(np.abs(a - b).max() <= 2 for a, b in ((red, green), (green, blue), (red, blue)))


def _sharpness(gray_HW: NDArray[np.uint8], spread: float) -> float:
    """How much of the contrast is between neighbours: the deviation of the Laplacian, without what compression leaves
    of it in a smooth picture, over that of the picture.
    """
    if min(gray_HW.shape) < 3 or not spread:
        return 1.0
    gray = gray_HW.astype(np.int16)
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * gray[1:-1, 1:-1]
    # Its mean is next to nothing: nearly everything is added and taken away again.
    deviation = math.sqrt(float(np.square(around, dtype=np.int32).mean())) / 255
    return max(0.0, deviation - _COMPRESSED) / spread


def _dct_rows() -> NDArray[np.float32]:
    """The eight lowest waves of the discrete cosine transform, without the constant one."""
    at, frequency = np.arange(_HASHED) + 0.5, np.arange(1, 9)[:, None]
    return np.cos(np.pi / _HASHED * frequency * at).astype(np.float32)


_WAVES = _dct_rows()


def _perceptual_hash(small: Image.Image) -> int:
    """64 signs of low frequencies against their median, which survive scaling and compression."""
    waves = _WAVES @ np.asarray(small, np.float32) @ _WAVES.T
    bits = (waves > np.median(waves)).reshape(-1)
    return int(np.packbits(bits).view(">u8")[0])
