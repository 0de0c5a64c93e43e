"""Writing an animation, in the format that the file's name asks for."""

from pathlib import Path

from convlens.arithmetic.animation.gif import write_gif
from convlens.arithmetic.animation.page import page
from convlens.arithmetic.animation.scene import scene
from convlens.arithmetic.animation.svg import svg
from convlens.arithmetic.setting_error import ArithmeticSettingError
from convlens.arithmetic.walk import Walk
from convlens.errors import unknown_name
from convlens.files import replacing, write_text

FORMATS = ("gif", "svg", "html")


def save_animation(walk: Walk, path: str | Path, *, seconds_per_frame: float = 0.8) -> None:
    """Draw how the window slides, for any kernel, stride, padding and dilation, transposed or pooling.

    Args:
        walk: from `steps`, `transposed_steps` or `pool_steps`.
        path: ends in .gif, .svg (plays by itself, in an `<img>` too) or .html (with controls).
        seconds_per_frame: time that each window is shown.

    Raises:
        UnknownNameError: another suffix.
        ArithmeticSettingError: too many frames, or a time that is not positive.
    """
    file = Path(path)
    kind = file.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise unknown_name("animation format", kind or file.name, FORMATS)
    if not seconds_per_frame >= 0.02:
        raise ArithmeticSettingError(f"seconds_per_frame is {seconds_per_frame}; use at least 0.02")
    picture = scene(walk)
    if kind == "gif":
        with replacing(file) as temporary:
            write_gif(picture, temporary, seconds_per_frame)
    elif kind == "svg":
        write_text(file, svg(picture, seconds_per_frame))
    else:
        write_text(file, page(picture, title(walk), seconds_per_frame))


def title(walk: Walk) -> str:
    """Say in a line what a walk does.

    >>> from convlens.arithmetic import pool_steps
    >>> title(pool_steps([[1, 2], [3, 4]], 2))
    'max pooling of 2×2, kernel 2×2, stride 2×2'
    """
    rows, columns = walk.x.shape[-2:]
    what = {"max": "max pooling", "average": "average pooling", "transposed": "transposed convolution"}
    words = [f"{what.get(walk.operation, walk.operation)} of {rows}×{columns}"]
    words.append(f"kernel {walk.kernel_size[0]}×{walk.kernel_size[1]}")
    if walk.operation != "transposed":
        words.append(f"stride {walk.stride[0]}×{walk.stride[1]}")
        if any(side for axis in walk.padding for side in axis):
            words.append("padding " + " ".join(str(side) for axis in walk.padding for side in axis))
    if walk.dilation != (1, 1):
        words.append(f"dilation {walk.dilation[0]}×{walk.dilation[1]}")
    return ", ".join(words)
