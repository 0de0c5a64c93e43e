"""What one image says about itself: how it is stored, how it looks, and what it would be recognised by."""

import hashlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convlens.data.dataset import Dataset, Record
from convlens.images import FORMATS, ImageError, read

_LOOK = (128, 128)  # the size, at least, at which an image is looked at
_HASHED = 32  # side of the gray picture that the perceptual hash is computed from
THUMB = 16  # side of the gray picture by which a near duplicate is confirmed


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one image; `reason` says why it cannot be read, and then the rest is empty."""

    record: Record
    split: str
    reason: str = ""
    digest: bytes = b""
    height: int = 0
    width: int = 0
    stored: tuple[str, ...] = ()  # animated, cmyk, sixteen_bit, rotated
    darkest: float = 0.0  # 5th and 95th percentile of the luma, 0..1
    brightest: float = 1.0
    spread: float = 1.0  # standard deviation of the luma, 0..1
    sharpness: float = 1.0  # of the luma, see _sharpness
    colourless: bool = False
    perceptual: int = 0  # 64 bits
    thumb: NDArray[np.uint8] | None = None  # THUMB × THUMB, gray


def facts_of(dataset: Dataset, split: str, record: Record) -> Facts:
    """Read one image and note what it says; what cannot be read is noted as that."""
    try:
        content = dataset.source.encoded(record)
        pixels = read(content, at_least=_LOOK) if content is not None else dataset.read(record, channels=3)
        height, width, stored = _stored(content) if content is not None else (*pixels.shape[:2], ())
    except ImageError as error:
        return Facts(record=record, split=split, reason=str(error).replace("the image", record.key, 1))
    gray = (pixels @ np.array([0.299, 0.587, 0.114], np.float32) / 255).astype(np.float32)
    small = _shrunk(gray, _HASHED)
    return Facts(
        record=record,
        split=split,
        digest=hashlib.blake2b(pixels.tobytes() if content is None else content, digest_size=16).digest(),
        height=height,
        width=width,
        stored=stored,
        darkest=float(np.percentile(gray, 5)),
        brightest=float(np.percentile(gray, 95)),
        spread=float(gray.std()),
        sharpness=_sharpness(gray),
        colourless=dataset.channels == 3 and bool((np.ptp(pixels[::2, ::2].astype(np.int16), axis=2) <= 2).all()),
        perceptual=_perceptual_hash(small),
        thumb=np.rint(_shrunk(small, THUMB) * 255).astype(np.uint8),
    )


def _stored(content: bytes) -> tuple[int, int, tuple[str, ...]]:
    """Height and width as shown, and how the file is out of the ordinary."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        try:
            orientation = int(image.getexif().get(0x0112, 1))
        except Exception:  # a broken EXIF block says nothing about the picture
            orientation = 1
        said = (
            ("animated", getattr(image, "n_frames", 1) > 1 and image.format != "MPO"),
            ("cmyk", image.mode == "CMYK"),
            ("sixteen_bit", image.mode.startswith("I")),
            ("rotated", orientation != 1),
        )
        height, width = (image.width, image.height) if orientation in (5, 6, 7, 8) else (image.height, image.width)
        return height, width, tuple(name for name, true in said if true)


def _shrunk(gray_HW: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    picture = Image.fromarray(gray_HW).resize((side, side), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


def _sharpness(gray_HW: NDArray[np.float32]) -> float:
    """How much of the contrast is between neighbours: the deviation of the Laplacian over that of the picture."""
    if min(gray_HW.shape) < 3:
        return 1.0
    middle = gray_HW[1:-1, 1:-1]
    around = gray_HW[:-2, 1:-1] + gray_HW[2:, 1:-1] + gray_HW[1:-1, :-2] + gray_HW[1:-1, 2:]
    return float((around - 4 * middle).std() / max(1e-6, float(gray_HW.std())))


def _dct_rows() -> NDArray[np.float32]:
    """The eight lowest waves of the discrete cosine transform, without the constant one."""
    at, frequency = np.arange(_HASHED) + 0.5, np.arange(1, 9)[:, None]
    return np.cos(np.pi / _HASHED * frequency * at).astype(np.float32)


_WAVES = _dct_rows()


def _perceptual_hash(small: NDArray[np.float32]) -> int:
    """64 signs of low frequencies against their median, which survive scaling and compression."""
    waves = _WAVES @ small @ _WAVES.T
    bits = (waves > np.median(waves)).reshape(-1)
    return int(np.packbits(bits).view(">u8")[0])
