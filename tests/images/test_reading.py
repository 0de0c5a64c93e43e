from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convlens import images


def encoded(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_every_format_gives_the_same_tensor(tmp_path):
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    for suffix in ("png", "bmp", "tif", "ppm"):
        path = tmp_path / f"image.{suffix}"
        Image.fromarray(pixels).save(path)
        np.testing.assert_array_equal(images.read(path), pixels)


def test_a_text_file_named_jpg_says_so(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_text("a cat")
    with pytest.raises(images.ImageError, match=r"cat\.jpg is no image that can be read; it is a text file"):
        images.read(path)


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (3, 2), (255, 0, 0, 0))
    assert (images.read(encoded(clear, "PNG")) == 255).all()
