"""Sizes of images and inputs as commands and settings spell them, the same everywhere."""

from convlens.errors import ConvlensError


def read_size(text: str, channels: int) -> tuple[int, ...]:
    """Read a size: 224 for a square image, 192,256 for height and width, 3,192,256 with channels, more as they are.

    >>> read_size("224", 3), read_size("192x256", 1), read_size("8,3,32,32", 3)
    ((3, 224, 224), (1, 192, 256), (8, 3, 32, 32))
    """
    try:
        numbers = tuple(int(part) for part in text.replace("x", ",").replace("×", ",").split(","))
    except ValueError:
        raise ConvlensError(f"size {text!r} is not a size; write 224, 192,256 or 3,192,256") from None
    if min(numbers) < 1:
        raise ConvlensError(f"size {text!r} must be made of positive numbers, such as 224")
    if len(numbers) == 1:
        return (channels, numbers[0], numbers[0])
    return (channels, *numbers) if len(numbers) == 2 else numbers


def image_size(text: str) -> tuple[int, int]:
    """Read the height and width of an image: 224, or 192,256.

    >>> image_size("224"), image_size("192,256")
    ((224, 224), (192, 256))
    """
    numbers = read_size(text, 0)[1:]
    if len(numbers) != 2 or text.replace("x", ",").replace("×", ",").count(",") > 1:
        raise ConvlensError(f"size {text!r} is not the size of an image; write 224, or 192,256 for height and width")
    return numbers[0], numbers[1]
