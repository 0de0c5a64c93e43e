"""The transparent colour of a PNG (tRNS, PNG 1.2, section 4.2.1.1), which Pillow compares with pixels it has scaled."""

from PIL import Image

_GRAY, _RGB = 0, 2  # colour types


def scale_transparent(image: Image.Image, content: bytes) -> None:
    """Scale a transparent gray value of less than 8 bits as Pillow scales the pixels.

    Raises:
        ValueError: a colour of 16 bits a channel is transparent, of which the pixels keep the upper half only.
    """
    depth, colour_type = content[24:26] if content[12:16] == b"IHDR" else (8, _GRAY)
    value = image.info.get("transparency")
    if value is not None and colour_type == _RGB and depth == 16:
        raise ValueError("one of its 16-bit colours is transparent; save it with an alpha channel")
    if isinstance(value, int) and colour_type == _GRAY and depth < 8:
        image.info["transparency"] = value * 255 // (2**depth - 1)
