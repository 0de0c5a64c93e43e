"""Files to image tensors, and the one definition of preprocessing."""

from convlens.images.formats import FORMATS as FORMATS
from convlens.images.formats import SUFFIXES as SUFFIXES
from convlens.images.formats import UNREAD_SUFFIXES as UNREAD_SUFFIXES
from convlens.images.preprocessing import Interpolation as Interpolation
from convlens.images.preprocessing import Preprocessing as Preprocessing
from convlens.images.reading import MAX_BYTES as MAX_BYTES
from convlens.images.reading import MAX_PIXELS as MAX_PIXELS
from convlens.images.reading import ImageError as ImageError
from convlens.images.reading import Stored as Stored
from convlens.images.reading import TooManyPixelsError as TooManyPixelsError
from convlens.images.reading import read as read
from convlens.images.reading import read_stored as read_stored

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "UNREAD_SUFFIXES",
    "ImageError",
    "Interpolation",
    "Preprocessing",
    "Stored",
    "TooManyPixelsError",
    "read",
    "read_stored",
]
