"""Heat over the image, and many of them on one sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from convlens.images import Preprocessing, with_channels

Pixels = NDArray[np.uint8]

_SMALLEST = 224  # smaller pictures are enlarged, pixel by pixel
# Matplotlib's inferno at seventeen equal distances, nearly straight between them: a server of plans has none of it.
_INFERNO = np.array(
    """
    0,0,4 11,7,36 33,12,74 61,9,101 87,16,110 113,25,110 138,34,106 163,44,97 188,55,84 210,70,68 228,90,49 241,115,29
    249,142,9 252,172,17 249,203,53 242,234,105 252,255,164
    """.replace(",", " ").split(),
    float,
).reshape(-1, 3)
_GAP = 12
_LINE = 16


def overlay(image_HWC: Pixels, heat_HW: NDArray[np.float32], *, strength: float = 0.6) -> Pixels:
    """Lay heat over an image: uint8 (H, W, 3), the hotter the less of the image shows through.

    Args:
        image_HWC: as the network sees it, 1 or 3 channels.
        heat_HW: 0..1, in the size of the image.
        strength: how much of the image the hottest place hides.
    """
    places = np.linspace(0, 1, len(_INFERNO))
    colours = np.stack([np.interp(heat_HW, places, channel) for channel in _INFERNO.T], axis=-1)
    share = strength * (heat_HW * (2 - heat_HW))[:, :, np.newaxis]  # steeper at first, and no edge where heat begins
    picture: Pixels = np.rint(image_HWC * (1 - share) + colours * share).astype(np.uint8)
    return picture


def as_seen(preprocessing: Preprocessing, x_CHW: NDArray[np.float32]) -> Pixels:
    """Undo the normalisation: what the network sees, uint8 (H, W, 3)."""
    return with_channels(preprocessing.undo(x_CHW), 3)


def enlarged(picture_HWC: Pixels) -> Image.Image:
    """A picture of at least 224 pixels on its shorter side, its own pixels kept as squares."""
    times = -(-_SMALLEST // min(picture_HWC.shape[:2]))
    height, width = picture_HWC.shape[:2]
    return Image.fromarray(picture_HWC).resize((width * times, height * times), Image.Resampling.NEAREST)


def sheet(rows: Sequence[tuple[str, Pixels, Pixels]], columns: int = 3, scale: int = 1) -> Image.Image:
    """Lay pairs of image and overlay on one sheet, each with its caption below.

    Args:
        rows: caption, image, overlay; all of one size.
        columns: pairs beside each other.
        scale: of gaps and letters, for pictures of more pixels.
    """
    import matplotlib

    gap, line = _GAP * scale, _LINE * scale
    pairs = [(caption, enlarged(image), enlarged(heat)) for caption, image, heat in rows]
    width = 2 * pairs[0][1].width + gap
    height = pairs[0][1].height + line + gap
    columns = min(columns, len(pairs))
    lines = -(-len(pairs) // columns)
    page = Image.new("RGB", (columns * (width + gap) + gap, lines * (height + gap) + gap), "white")
    draw = ImageDraw.Draw(page)
    # Pillow's own font has Latin letters alone; classes are called in many alphabets
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 12 * scale)
    for number, (caption, image, heat) in enumerate(pairs):
        left = gap + number % columns * (width + gap)
        top = gap + number // columns * (height + gap)
        page.paste(image, (left, top))
        page.paste(heat, (left + image.width + gap, top))
        shown = _shortened(caption, width - gap, font)
        draw.text((left, top + image.height + scale), shown, fill="black", font=font)
    return page


def _shortened(caption: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """A caption on one line that ends before the next one begins; what a long name loses is its beginning."""
    caption = shown = " ".join(caption.split())
    while font.getlength(shown) > width:
        caption = caption[1:]
        shown = f"…{caption}"
    return shown
