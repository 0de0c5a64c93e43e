"""The pictures that the pages can use: bundled ones, the one given on the command line, and uploads.

Uploads stay in memory, are bounded in number and in bytes, and are gone when the explorer stops.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from convlens import images
from convlens.errors import ConvlensError, unknown_name
from convlens.images import to_pillow

MOST_UPLOADS = 16
MOST_UPLOAD_BYTES = 20 * 2**20
MOST_TITLE = 80
LONGEST_SIDE = 1024
"""An uploaded picture is kept at most this large: pages need no more, and sixteen of them stay under 50 MB."""

Image = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture and where it is from.

    Attributes:
        name: its name in an address.
        pixels: uint8 `(H, W, C)`.
        credit: whose it is, to be shown beside it; empty for the user's own.
        title: what the user's own file is called; empty for a bundled one.
        reduced_from: (height, width) of the file, where it was too large to be kept as it is.
    """

    name: str
    pixels: Image
    credit: str = ""
    title: str = ""
    reduced_from: tuple[int, int] | None = None


def _in_scikit_learn(*parts: str) -> Path:
    """A file that comes with scikit-learn, found without importing it: that takes longer than the first page may."""
    found = find_spec("sklearn")
    assert found is not None  # a dependency of convlens
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0], "datasets", *parts)


def _photograph(file: str) -> Image:
    return images.read(_in_scikit_learn("images", file), channels=3)


def _digit() -> Image:
    # 8 x 8 with values 0..16, ink is bright; each pixel is repeated so that the squares can be seen
    first = np.loadtxt(_in_scikit_learn("data", "digits.csv.gz"), delimiter=",", max_rows=1)[:64].reshape(8, 8)
    return np.kron(np.rint(first * (255 / 16)), np.ones((8, 8)))[:, :, np.newaxis].astype(np.uint8)


def _clothes(number: int) -> Image:
    """One of ten photographs of 28×28 side by side, in the order of the classes."""
    strip = images.read(Path(__file__).parent / "trained" / "clothes.png", channels=1)
    return strip[:, 28 * number : 28 * (number + 1)]


# name -> (how to make it, whose it is); the photographs come with scikit-learn
_BUNDLED: dict[str, tuple[Callable[[], Image], str]] = {
    "temple": (lambda: _photograph("china.jpg"), "danielbuechele, flickr, CC BY 2.0"),
    "flower": (lambda: _photograph("flower.jpg"), "vultilion, flickr, CC BY 2.0"),
    "digit": (_digit, "UCI handwritten digits"),
    "boot": (lambda: _clothes(9), "Fashion-MNIST, Zalando Research, MIT"),
    "dress": (lambda: _clothes(3), "Fashion-MNIST, Zalando Research, MIT"),
    "shirt": (lambda: _clothes(6), "Fashion-MNIST, Zalando Research, MIT"),
}


@cache
def _bundled(name: str) -> Picture:
    make, credit = _BUNDLED[name]
    return Picture(name=name, pixels=make(), credit=credit)


class ImageShelf:
    """Pictures by name; safe to use from several threads."""

    def __init__(self, start: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._own: OrderedDict[str, Picture] = OrderedDict()
        self._start: Picture | None = None
        if start is not None:
            self._start = _kept("start", images.read(start, channels=3), title=start.name)

    def names(self) -> list[str]:
        """The names that `get` knows, the picture from the command line first."""
        with self._lock:
            own = list(self._own)
        return [*(["start"] if self._start else []), *_BUNDLED, *own]

    def get(self, name: str) -> Picture:
        """Return a picture.

        Raises:
            ConvlensError: there is none of that name; uploads are forgotten when the explorer stops.
        """
        if name == "start" and self._start:
            return self._start
        if name in _BUNDLED:
            return _bundled(name)
        with self._lock:
            if name in self._own:
                return self._own[name]
        if name.startswith("upload-"):
            raise ConvlensError(f"the picture {name!r} is not in memory any more; upload it again")
        raise unknown_name("picture", name, self.names())

    def add(self, content: bytes, title: str = "") -> Picture:
        """Keep an uploaded file in memory, after those that are there; the oldest makes room.

        Raises:
            ConvlensError: the file is too large, or no picture can be read from it.
        """
        if len(content) > MOST_UPLOAD_BYTES:
            raise ConvlensError(
                f"the file has {len(content)} bytes; the limit is {MOST_UPLOAD_BYTES}: use a smaller one"
            )
        name = f"upload-{sha256(content).hexdigest()[:12]}"
        picture = _kept(name, images.read(content, channels=3), title=title[:MOST_TITLE])
        with self._lock:
            self._own[name] = picture
            while len(self._own) > MOST_UPLOADS:
                self._own.popitem(last=False)
        return picture

    def remove(self, name: str) -> None:
        """Forget an uploaded picture.

        Raises:
            ConvlensError: it is none of the uploads.
        """
        with self._lock:
            if self._own.pop(name, None) is None:
                raise ConvlensError(f"the picture {name!r} is not an upload of yours; only those can be removed")


def scaled(pixels: Image, longest: int) -> Image:
    """Shrink a picture, keeping its shape, so that no side is longer than `longest`; a smaller one stays as it is."""
    height, width = pixels.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return pixels
    picture = to_pillow(pixels)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    shrunk = np.asarray(picture.resize(size, PillowImage.Resampling.LANCZOS))
    return shrunk[:, :, np.newaxis] if shrunk.ndim == 2 else shrunk


def png(pixels: Image) -> bytes:
    """Encode uint8 `(H, W, C)` with C = 1, 3 or 4 as a PNG file."""
    buffer = io.BytesIO()
    to_pillow(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _kept(name: str, pixels: Image, title: str) -> Picture:
    small = scaled(pixels, LONGEST_SIDE)
    reduced = None if small is pixels else pixels.shape[:2]
    return Picture(name=name, pixels=small, title=title, reduced_from=reduced)
