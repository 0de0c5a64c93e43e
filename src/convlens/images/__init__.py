"""Files to image tensors, and the one definition of preprocessing."""

from convlens.images.image_formats import FORMATS as FORMATS
from convlens.images.image_formats import SUFFIXES as SUFFIXES
from convlens.images.image_formats import UNREAD_SUFFIXES as UNREAD_SUFFIXES
from convlens.images.pictures import GRAY_WEIGHTS as GRAY_WEIGHTS
from convlens.images.pictures import as_gray as as_gray
from convlens.images.pictures import from_pillow as from_pillow
from convlens.images.pictures import image_tensors as image_tensors
from convlens.images.pictures import to_pillow as to_pillow
from convlens.images.pictures import with_channels as with_channels
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
    "GRAY_WEIGHTS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "UNREAD_SUFFIXES",
    "ImageError",
    "Interpolation",
    "Preprocessing",
    "Stored",
    "TooManyPixelsError",
    "as_gray",
    "from_pillow",
    "image_tensors",
    "read",
    "read_stored",
    "to_pillow",
    "with_channels",
]
