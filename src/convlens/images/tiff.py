"""Which TIFF files are read: those whose pixels have one meaning. Anything else is refused, never guessed.

The numbers of tags and their values are those of TIFF 6.0 (Adobe, 1992).
"""

from typing import Any

from PIL import Image

_COMPRESSION, _PHOTOMETRIC, _SAMPLES, _BITS, _PLANAR = 259, 262, 277, 258, 284
_EXTRA, _SUBSAMPLING, _INKS = 338, 530, 332
_SAMPLE_FORMAT, _COLOUR_MAP = 339, 320
_WHITE_IS_ZERO, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 3, 5, 6, 8
# photometric interpretation -> how many of a pixel's samples it speaks of
_COLOURS = {_WHITE_IS_ZERO: 1, 1: 1, 2: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_ALPHA = (1, 2)  # what an extra sample may be: transparency, multiplied in or not
_JPEG = (6, 7)  # compressions that hold YCbCr as JPEG does


def refuse_ambiguous(image: Image.Image) -> None:
    """Refuse a TIFF whose pixels Pillow would read in another way than they are meant, or only in part.

    Raises:
        ValueError: saying what is unusual, and what to do.
    """
    tags: Any = getattr(image, "tag_v2", {})
    photometric = tags.get(_PHOTOMETRIC)
    if photometric is None:
        raise ValueError("nothing in it says whether small values are dark or bright; save it as RGB or gray")
    samples, bits = tags.get(_SAMPLES, 1), max(tags.get(_BITS, (1,)))
    if photometric not in _COLOURS or photometric == _LAB:
        name = "CIELab" if photometric == _LAB else f"of the colour space number {photometric}"
        raise ValueError(f"its pixels are {name}; save it as RGB or gray")
    more = samples - _COLOURS[photometric]
    extra = tags.get(_EXTRA, ())
    if more and not (more == 1 and len(extra) == 1 and extra[0] in _ALPHA and photometric not in (_CMYK, _PALETTE)):
        raise ValueError(
            f"it has {samples} bands, and nothing says what the last {more} of them hold; "
            "save the bands that are wanted as RGB or gray"
        )
    if samples > 1 and bits > 8 and tags.get(_PLANAR, 1) == 2:
        raise ValueError(f"its bands of {bits} bits lie one after the other; save it with interleaved pixels")
    if bits <= 8 and any(kind != 1 for kind in tags.get(_SAMPLE_FORMAT, ())):
        raise ValueError("its pixels are no unsigned numbers; save it with unsigned ones")
    if photometric == _PALETTE and 0 < max(tags.get(_COLOUR_MAP, (0,))) < 256:
        raise ValueError("the colours of its palette have 8 bits instead of 16; save it as RGB")
    if bits not in (1, 2, 4, 8, 16, 32):
        raise ValueError(f"its pixels have {bits} bits; save it with 8 or 16 bits")
    subsampled = tags.get(_SUBSAMPLING, (2, 2)) != (1, 1)
    if photometric == _YCBCR and subsampled and tags.get(_COMPRESSION, 1) not in _JPEG:
        raise ValueError("its pixels are subsampled YCbCr; save it as RGB")
    if photometric == _CMYK and tags.get(_INKS, 1) != 1:
        raise ValueError("its inks are others than cyan, magenta, yellow and black; save it as RGB")


def white_is_zero(image: Image.Image) -> bool:
    """Whether small values are bright; Pillow turns them round for up to 8 bits."""
    return image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
