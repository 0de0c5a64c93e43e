"""Every variant of TIFF is read as it is meant, or refused with a reason; nothing is guessed."""

import numpy as np
import pytest
from tiffs import tiff

from convlens import images

y, x = np.mgrid[0:20, 0:24]
GRAY = (x * 10).astype(np.uint8)[..., None]
GRAY16 = (x * 2570).astype(np.uint16)[..., None]
RGB = np.stack([x * 10, y * 12, 255 - x * 10], -1).astype(np.uint8)
RGB16 = RGB.astype(np.uint16) * 257
OPAQUE = np.full_like(GRAY, 255)


def with_band(pixels, band):
    return np.concatenate([pixels, band.astype(pixels.dtype)], axis=-1)


READ = {
    "gray": (tiff(GRAY, bits=8, photometric=1), GRAY),
    "gray, white is zero": (tiff(255 - GRAY, bits=8, photometric=0), GRAY),
    "1 bit": (tiff((GRAY > 99).astype(np.uint8), bits=1, photometric=1), (GRAY > 99) * 255),
    "1 bit, white is zero": (tiff((GRAY <= 99).astype(np.uint8), bits=1, photometric=0), (GRAY > 99) * 255),
    "16 bits": (tiff(GRAY16, bits=16, photometric=1), GRAY),
    "16 bits, big endian": (tiff(GRAY16, bits=16, photometric=1, big_endian=True), GRAY),
    "16 bits, white is zero": (tiff(65535 - GRAY16, bits=16, photometric=0), GRAY),
    "gray with alpha": (tiff(with_band(GRAY, OPAQUE), bits=8, photometric=1, extra=[2]), GRAY),
    "RGB": (tiff(RGB, bits=8, photometric=2), RGB),
    "RGB in planes": (tiff(RGB, bits=8, photometric=2, planar=2), RGB),
    "RGB, 16 bits": (tiff(RGB16, bits=16, photometric=2), RGB),
    "RGB, 16 bits, big endian": (tiff(RGB16, bits=16, photometric=2, big_endian=True), RGB),
    "RGB with alpha": (tiff(with_band(RGB, OPAQUE), bits=8, photometric=2, extra=[2]), RGB),
    "RGB with alpha in planes": (tiff(with_band(RGB, OPAQUE), bits=8, photometric=2, planar=2, extra=[2]), RGB),
    "RGB, 16 bits, with alpha": (
        tiff(with_band(RGB16, OPAQUE.astype(np.uint16) * 257), bits=16, photometric=2, extra=[1]),
        RGB,
    ),
    "palette": (tiff(GRAY, bits=8, photometric=3, palette=[i * 257 for i in range(256)] * 3), GRAY),
    "CMYK": (tiff(with_band(255 - RGB, GRAY * 0), bits=8, photometric=5), RGB),
}
REFUSED = {
    "a fourth band of no meaning": (tiff(with_band(RGB, GRAY), bits=8, photometric=2, extra=[0]), "it has 4 bands"),
    "a fourth band without a word": (tiff(with_band(RGB, GRAY), bits=8, photometric=2), "it has 4 bands"),
    "five bands": (
        tiff(with_band(with_band(RGB, GRAY), GRAY), bits=8, photometric=2, extra=[0, 0]),
        "the last 2 of them hold; save the bands that are wanted",
    ),
    "a fifth band of CMYK": (
        tiff(with_band(with_band(RGB, GRAY), GRAY), bits=8, photometric=5, extra=[2]),
        "5 bands|unusual",
    ),
    "16 bits, white is zero, big endian": (
        tiff(65535 - GRAY16, bits=16, photometric=0, big_endian=True),
        "an unusual kind|cannot be decoded",
    ),
    "a second band of gray": (tiff(with_band(GRAY, GRAY), bits=8, photometric=1, extra=[0]), "it has 2 bands"),
    "a fourth band of 16 bits": (tiff(with_band(RGB16, GRAY16), bits=16, photometric=2, extra=[0]), "it has 4 bands"),
    "16 bits in planes": (tiff(RGB16, bits=16, photometric=2, planar=2), "bands of 16 bits lie one after the other"),
    "signed": (tiff(GRAY16.astype(np.int16), bits=16, photometric=1, sample_format=[2]), "whose range no file states"),
    "32 bits": (tiff(GRAY16.astype(np.uint32), bits=32, photometric=1), "whose range no file states"),
    "floats": (tiff(GRAY.astype(np.float32), bits=32, photometric=1, sample_format=[3]), "whose range no file states"),
    "floats of RGB": (
        tiff(RGB.astype(np.float32), bits=32, photometric=2, sample_format=[3] * 3),
        "of an unusual kind",
    ),
    "three bands of gray": (tiff(RGB, bits=8, photometric=1), "of an unusual kind|it has 3 bands"),
    "subsampled YCbCr": (tiff(RGB, bits=8, photometric=6), "subsampled YCbCr; save it as RGB"),
    "signed, 8 bits": (tiff(GRAY, bits=8, photometric=1, sample_format=[2]), "no unsigned numbers"),
    "dark or bright": (tiff(GRAY, bits=8, photometric=None), "whether small values are dark or bright"),
    "a palette of 8 bits": (
        tiff(GRAY, bits=8, photometric=3, palette=[*range(256)] * 3),
        "of its palette have 8 bits instead of 16",
    ),
    "CIELab": (tiff(RGB, bits=8, photometric=8), "its pixels are CIELab; save it as RGB"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_read_right(name):
    content, expected = READ[name]
    pixels = images.read(content)
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    if expected.shape[-1] == 1:
        assert np.abs(images.read(content, channels=1).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_two_meanings_is_refused(name):
    content, message = REFUSED[name]
    with pytest.raises(images.ImageError, match=message):
        images.read(content)
