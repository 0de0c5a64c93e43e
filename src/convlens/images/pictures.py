"""Image tensors as Pillow's pictures and back, and their channels: gray of colours, and colours of gray."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from convlens.images.tiff import white_is_zero

# ITU-R BT.601, as Pillow's gray: what red, green and blue count for
GRAY_WEIGHTS = (0.299, 0.587, 0.114)
_ORIENTATION = 0x0112  # the EXIF tag


def to_pillow(image_HWC: NDArray[np.uint8]) -> Image.Image:
    """An image tensor uint8 (H, W, C) with 1, 3 or 4 channels as a picture.

    >>> to_pillow(np.zeros((2, 3, 1), np.uint8)).mode
    'L'
    """
    return Image.fromarray(image_HWC[:, :, 0] if image_HWC.shape[2] == 1 else image_HWC)


def from_pillow(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """A picture as an image tensor uint8 (H, W, C), as from a file: upright, over white, 8 bits.

    Raises:
        ValueError: its pixels are 32-bit numbers, whose range nothing states.
    """
    return pixels_of(upright(image), channels)


def as_gray(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The gray values uint8 (H, W, 1) of an image tensor; those of a gray one are its own.

    >>> as_gray(np.full((1, 1, 3), 7, np.uint8)).tolist()
    [[[7]]]
    """
    return image_HWC if image_HWC.shape[2] == 1 else pixels_of(to_pillow(image_HWC), 1)


def with_channels(image_HWC: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """An image tensor of 1 or 3 channels with as many as are wanted, 1 or 3."""
    if image_HWC.shape[2] == channels:
        return image_HWC
    return as_gray(image_HWC) if channels == 1 else np.repeat(image_HWC, channels, axis=2)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken EXIF block says nothing about the picture
        return 1


def upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation wants it to be shown."""
    image.load()  # a TIFF is turned by its decoder, and then says that it stands upright
    return ImageOps.exif_transpose(image) if orientation(image) != 1 else image


def pixels_of(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """The pixels of an upright picture, uint8 (H, W, C)."""
    if image.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N", "F"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours)
    wanted = "L" if channels == 1 else "RGB"
    if image.mode not in (wanted, "L"):
        image = image.convert("RGB")  # gray is computed from RGB, whatever the file held
    if image.mode != wanted:
        image = image.convert(wanted)
    pixels = np.array(image, dtype=np.uint8)
    return pixels[:, :, np.newaxis] if channels == 1 else pixels


def image_tensors(value: Any, name: str) -> list[NDArray[np.uint8]]:
    """What a user calls images in memory as image tensors uint8 (H, W, C) of 1 or 3 channels.

    Args:
        value: a NumPy array (H, W), (H, W, C) or (N, H, W, C), or a torch tensor (H, W), (C, H, W) or (N, C, H, W);
            uint8, or floats of 0..1.
        name: for messages.

    Raises:
        ValueError: the shape or the type is another, or floats are not of 0..1.
    """
    torch_like = not isinstance(value, np.ndarray)
    array = value
    if torch_like:
        if value.is_meta or str(value.layout) != "torch.strided" or value.is_quantized:
            kind = "meta" if value.is_meta else "quantised" if value.is_quantized else "sparse"
            raise ValueError(f"{name} is a tensor without plain numbers ({kind}); give a dense one")
        value = value.detach().cpu()
        array = (value.float() if value.is_floating_point() else value).numpy()  # NumPy knows no bfloat16
    form = "(C, H, W)" if torch_like else "(H, W, C)"
    if array.ndim == 2:
        array = array[np.newaxis] if torch_like else array[..., np.newaxis]
    several = array if array.ndim == 4 else array[np.newaxis]
    channels = several.shape[1 if torch_like else -1] if several.ndim == 4 else 0
    if channels in (1, 3) and len(several) == 0:
        return []
    if channels not in (1, 3) or not several.size:
        kind = "a tensor" if torch_like else "an array"
        other = "permute(2, 0, 1)" if torch_like else "transpose(1, 2, 0)"
        raise ValueError(
            f"{name} is {kind} of shape {tuple(value.shape)}; give {form} with 1 or 3 channels, or several of them; "
            f"{other} changes the order"
        )
    pixels = _as_bytes(several, name)
    return list(np.moveaxis(pixels, 1, -1) if torch_like else pixels)


def _as_bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if np.issubdtype(array.dtype, np.floating):
        if float(array.min()) >= 0 and float(array.max()) <= 1:
            return np.asarray(np.rint(array * 255), np.uint8)
        raise ValueError(
            f"{name} holds floats from {float(array.min()):.3g} to {float(array.max()):.3g}; give uint8, or floats of "
            "0..1 that are not normalised"
        )
    raise ValueError(f"{name} holds {array.dtype}; give uint8, or floats of 0..1")


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        kind = "floats" if image.mode == "F" else "integers"
        raise ValueError(f"its pixels are 32-bit {kind}, whose range no file states; save it with 8 or 16 bits")
    values = np.asarray(image).astype(np.uint32)
    if white_is_zero(image):
        values = 65535 - values
    eight = ((values * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8)
    eight[values == image.info.get("transparency", -1)] = 255  # the transparent value lies over white
    return Image.fromarray(eight)
