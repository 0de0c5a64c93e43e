"""A scene as GIF, drawn by Pillow."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from convlens.arithmetic.animation.colours import BACKGROUND, ROLES, fill_of
from convlens.arithmetic.animation.scene import Mark, Scene
from convlens.arithmetic.animation.svg import TEXT_ROLES, letter_height

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

# The last frame is held longer, so that the whole output can be read.
HELD_FRAMES = 4


def write_gif(picture: Scene, path: Path, seconds_per_frame: float) -> None:
    """Write a GIF that plays for ever."""
    from PIL import Image

    images = frames(picture)
    milliseconds = [round(1000 * seconds_per_frame)] * len(images)
    milliseconds[-1] *= HELD_FRAMES
    # All frames share the palette of the last, which has every colour there is; frame by frame they would flicker.
    palette = images[-1].quantize(128)
    first, *rest = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0, optimize=True)


def frames(picture: Scene) -> "list[Image]":
    """Draw every frame, RGB."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (picture.width, picture.height), BACKGROUND)
    _draw(ImageDraw.Draw(canvas), picture.still)
    drawn = []
    for moving, kept in zip(picture.frames, picture.kept, strict=True):
        image = canvas.copy()
        _draw(ImageDraw.Draw(image), moving)
        drawn.append(image)
        _draw(ImageDraw.Draw(canvas), kept)
    return drawn


def _draw(pen: "ImageDraw", marks: tuple[Mark, ...]) -> None:
    for mark in marks:
        colours = ROLES[mark.role]
        if mark.role in TEXT_ROLES:
            anchor = "ms" if mark.role == "sign" else "ls"
            font = _font(round(mark.size), mono=mark.role == "sum")
            pen.text((mark.x, mark.y), mark.text, colours.text, font, anchor=anchor)
            continue
        right, bottom = mark.x + mark.size, mark.y + mark.size
        line = colours.line if mark.shade is None else None
        pen.rectangle((mark.x, mark.y, right, bottom), fill_of(mark.role, mark.shade), line)
        middle = mark.x + mark.size / 2, mark.y + mark.size / 2
        if mark.text:
            pen.text(middle, mark.text, colours.text, _font(round(letter_height(mark))), anchor="mm")
        if mark.corner:
            small = _font(max(round(mark.size * 0.23), 6))
            pen.text((right - 3, bottom - 3), mark.corner, colours.text, small, anchor="rs")


@cache
def _font(size: int, *, mono: bool = False) -> "FreeTypeFont":
    """DejaVu, which matplotlib brings along: it has the signs ⋆ and ∗, and looks the same on every machine."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSansMono.ttf" if mono else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
