"""Any image file to a uint8 tensor (H, W, C): upright, without transparency, within limits."""

import os
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOBase
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from convlens.errors import ConvlensError
from convlens.images.image_formats import FORMATS, LATE_FORMATS, late_format
from convlens.images.pictures import from_pillow, orientation
from convlens.images.png import scale_transparent
from convlens.images.tiff import refuse_ambiguous

# Pillow warns of half that size; here the caller's limit decides, in one line, and a server's log stays JSON.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
MAX_PIXELS = 178_956_970  # where Pillow refuses too: half a gigabyte as RGB
MAX_BYTES = 200_000_000

Said = TypeVar("Said")

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class ImageError(ConvlensError):
    """A file that cannot be turned into an image; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """How an image lies in its file: its size as it is shown, and what it shows only after conversion."""

    height: int
    width: int
    animated: bool = False
    cmyk: bool = False
    sixteen_bit: bool = False
    rotated: bool = False


class TooManyPixelsError(ImageError):
    """An image that declares more pixels than the caller allows."""


def read(
    source: str | Path | bytes | BinaryIO,
    *,
    channels: int = 3,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> NDArray[np.uint8]:
    """Read an image as a tensor.

    EXIF orientation is applied, transparency is laid over white, 16-bit values are scaled to 8 bits, palettes and
    CMYK become RGB, and of an animation the first frame is taken.

    Args:
        source: a path, the bytes of a file, or a file open for reading.
        channels: 3 for RGB, 1 for gray (luma).
        at_least: (H, W) below which the image must not be scaled; a larger JPEG may then be decoded at 1/2, 1/4
            or 1/8 of its size, which is several times faster. None decodes in full.
        max_pixels: larger images are refused before they are decoded.
        max_bytes: larger files are refused before they are decoded.

    Returns:
        uint8 (H, W, C), values 0..255.

    Raises:
        ImageError: the file is missing, empty, truncated, too large or no image.

    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGBA", (4, 2), (255, 0, 0, 0)).save(file, "png")
    >>> read(file.getvalue()).shape, int(read(file.getvalue(), channels=1).min())
    ((2, 4, 3), 255)
    """
    return _read(source, channels, at_least, max_pixels, max_bytes, lambda _: None)[0]


def read_stored(content: bytes, *, at_least: tuple[int, int] | None = None) -> tuple[NDArray[np.uint8], Stored]:
    """Read the bytes of a file as `read` does, in RGB, and say how the image lies in it.

    Raises:
        ImageError: as `read` does.
    """
    return _read(content, 3, at_least, MAX_PIXELS, MAX_BYTES, _stored)


def _read(
    source: str | Path | bytes | BinaryIO,
    channels: int,
    at_least: tuple[int, int] | None,
    max_pixels: int,
    max_bytes: int,
    look: Callable[[Image.Image], Said],
) -> tuple[NDArray[np.uint8], Said]:
    if channels not in (1, 3):
        raise ImageError(f"channels={channels}; use 3 for RGB or 1 for gray")
    name = _name(source)
    content = _bytes_of(source, name, max_bytes)
    try:
        with Image.open(BytesIO(content), formats=_decoders(content, name)) as image:
            _refuse_too_many_pixels(image, name, max_pixels)
            if image.format == "TIFF":
                refuse_ambiguous(image)
            elif image.format == "PNG":
                scale_transparent(image, content)
            said = look(image)
            _decode_at_once(image, len(content))
            _decode_scaled(image, channels, at_least)
            return from_pillow(image, channels), said
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = min(max_pixels, MAX_PIXELS)
        raise TooManyPixelsError(
            f"{name} declares more than {limit:,} pixels: a decompression bomb, or one to shrink"
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not an image that can be read{_what_it_looks_like(content)}") from None
    # Decoders meet hostile bytes with nearly every built-in exception; each means that this file cannot be read.
    except Exception as error:
        raise ImageError(f"{name} cannot be decoded: {_reason(error)}") from None


def _decoders(content: bytes, name: str) -> tuple[str, ...]:
    """The decoders to try for a file's bytes."""
    late = late_format(content)
    if late is None:
        return FORMATS
    try:
        late.load()
    except ImportError:
        raise ImageError(f"{name} is {late.name}, which is not read here; {late.remedy}") from None
    return (late.decoder,)


def _name(source: str | Path | bytes | BinaryIO) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    return "the file" if isinstance(source, bytes) else str(getattr(source, "name", "the file"))


def _bytes_of(source: Any, name: str, max_bytes: int) -> bytes:
    try:
        if isinstance(source, bytes):
            content = source
        elif isinstance(source, (str, Path)):
            with Path(source).open("rb") as file:
                # As much as is there: to ask for the limit would make the system find that much memory each time.
                status = os.fstat(file.fileno())
                there = status.st_size if stat.S_ISREG(status.st_mode) else max_bytes  # a pipe does not say
                content = file.read(min(there, max_bytes) + 1)
        elif isinstance(source, TextIOBase) or not hasattr(source, "read"):
            raise ImageError(f"an image is a path, bytes or a file opened with 'rb', not {type(source).__name__}")
        else:
            content = bytes(source.read(max_bytes + 1))
    except OSError as error:
        raise ImageError(f"{name} cannot be opened: {error.strerror or error}") from None
    if not content:
        raise ImageError(f"{name} is empty (0 bytes)")
    if len(content) > max_bytes:
        raise ImageError(f"{name} has more than {max_bytes:,} bytes; shrink it or raise max_bytes")
    return content


def _refuse_too_many_pixels(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise TooManyPixelsError(
            f"{name} declares {image.width} × {image.height} pixels, more than {max_pixels:,}: "
            "a decompression bomb, or one to shrink"
        )


def _stored(image: Image.Image) -> Stored:
    turned = orientation(image)
    height, width = (image.width, image.height) if turned in _SIDEWAYS else (image.height, image.width)
    return Stored(
        height=height,
        width=width,
        animated=_is_animated(image),
        cmyk=image.mode == "CMYK",
        sixteen_bit=image.mode.startswith("I"),
        rotated=turned != 1,
    )


def _is_animated(image: Image.Image) -> bool:
    if image.format == "MPO":  # a phone's: the same picture for a second eye, or in small
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first frame is broken, and not used
        return False


def _decode_at_once(image: ImageFile.ImageFile, size: int) -> None:
    """Hand the decoder of JPEG the whole file: where a part of it ends, libjpeg must take a slower way."""
    if image.format in ("JPEG", "MPO"):
        image.decodermaxblock = size


def _decode_scaled(image: Image.Image, channels: int, at_least: tuple[int, int] | None) -> None:
    """Let libjpeg scale while it decodes, and skip the colours when only gray is wanted; no-op for other formats.

    A draft is also decoded by faster and coarser arithmetic, so an image that is smaller than asked for is not one.
    """
    if at_least is None or image.format not in ("JPEG", "MPO"):
        return
    height, width = at_least[::-1] if orientation(image) in _SIDEWAYS else at_least
    if height <= image.height and width <= image.width:
        image.draft("L" if channels == 1 and image.mode == "RGB" else None, (width, height))


def _what_it_looks_like(content: bytes) -> str:
    start = content[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "; it is a web page"
    if start.startswith((b"<svg", b"<?xml")):
        return "; it is SVG or XML, so save it as PNG"
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "; it is a TIFF of an unusual kind, such as 32 bits a band, so save it as RGB or gray with 8 or 16 bits"
    if start and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in start):
        return "; it is a text file"
    return f"; the formats are {', '.join((*FORMATS, *(row.name for row in LATE_FORMATS)))}"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"truncated ({text})" if "truncated" in text and not text.startswith("truncated") else text
