import io
import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convlens import images

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quarters(height=32, width=48):
    """Red, green / blue, white: every turn and every swapped channel shows."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, WHITE
    return pixels


def corners(pixels_HWC):
    height, width, _ = pixels_HWC.shape
    return [pixels_HWC[y, x].astype(int) for y in (height // 5, height * 4 // 5) for x in (width // 5, width * 4 // 5)]


def assert_quarters(pixels_HWC, tolerance=0):
    np.testing.assert_allclose(corners(pixels_HWC), [RED, GREEN, BLUE, WHITE], atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PPM", {}, 0),
        ("GIF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
    ],
)
def test_every_format_gives_the_same_picture(tmp_path, kind, options, tolerance):
    content = encoded(Image.fromarray(quarters()), kind, **options)
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(content)
    with path.open("rb") as file:
        for source in (content, path, str(path), file):
            pixels = images.read(source)
            assert pixels.dtype == np.uint8
            assert pixels.shape == (32, 48, 3)
            assert_quarters(pixels, tolerance)


def test_sixteen_bits_become_eight():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        pixels = images.read(encoded(Image.fromarray(ramp), kind), channels=1)[:, :, 0]
        np.testing.assert_array_equal(pixels, np.rint(ramp / 257))


def test_sixteen_bit_colours_become_eight(tmp_path):
    """Pillow cannot write such a PNG, so it is put together by hand (PNG specification, sections 5 and 11)."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 0x8080, 65535)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(images.read(content)[0], [[255, 0, 0], [0, 128, 255]])


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_becomes_rgb(kind):
    """Adobe's JPEGs, and Pillow's, store CMYK inverted; a TIFF does not."""
    inks = Image.fromarray(np.full((16, 16, 4), (0, 255, 255, 0), np.uint8), mode="CMYK")
    np.testing.assert_allclose(images.read(encoded(inks, kind)), np.broadcast_to(RED, (16, 16, 3)), atol=2)


def test_adobe_ycck_becomes_rgb():
    """Transform 2 in Adobe's marker says that the inverted inks are stored as luma and chroma (T.872, 6.5.3)."""
    inks = Image.fromarray(np.full((16, 16, 3), (0, 255, 255), np.uint8)).convert("YCbCr")
    planes = [255 - np.asarray(plane) for plane in inks.split()] + [np.zeros((16, 16), np.uint8)]
    stored = encoded(Image.fromarray(np.stack(planes, -1), mode="CMYK"), "JPEG", quality=100, subsampling=0)
    marker = stored.index(b"Adobe") + 11
    pixels = images.read(stored[:marker] + b"\x02" + stored[marker + 1 :])
    np.testing.assert_allclose(pixels, np.broadcast_to(RED, (16, 16, 3)), atol=4)


def test_palettes_become_rgb():
    assert_quarters(images.read(encoded(Image.fromarray(quarters()).quantize(4), "PNG")))


def test_transparency_of_every_kind_lies_over_white():
    clear = Image.new("RGBA", (3, 2), (255, 0, 0, 0))
    half = Image.new("LA", (3, 2), (0, 128))
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    key = Image.new("RGB", (3, 2), (9, 8, 7))
    assert (images.read(encoded(clear, "PNG")) == 255).all()
    assert (images.read(encoded(clear, "WEBP", lossless=True)) == 255).all()
    assert (images.read(encoded(half, "PNG"), channels=1) == 127).all()
    assert (images.read(encoded(palette, "PNG", transparency=1)) == 255).all()
    assert (images.read(encoded(palette, "GIF", transparency=1)) == 255).all()
    assert (images.read(encoded(key, "PNG", transparency=(9, 8, 7))) == 255).all()


TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](quarters())))
    options = {"TIFF": {}, "WEBP": {"lossless": True}}.get(kind, {"quality": 95} if kind == "JPEG" else {})
    pixels = images.read(encoded(stored, kind, exif=exif, **options))
    assert pixels.shape == (32, 48, 3)
    assert_quarters(pixels, 6)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_spoil_a_picture():
    content = encoded(Image.fromarray(quarters()), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff")
    assert_quarters(images.read(content), 6)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (images.read(content) == RED).all(), kind


def test_gray_stays_one_channel_on_request_and_becomes_three_otherwise():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = encoded(Image.fromarray(ramp), "PNG")
    np.testing.assert_array_equal(images.read(content, channels=1)[:, :, 0], ramp)
    np.testing.assert_array_equal(images.read(content), np.repeat(ramp[:, :, None], 3, 2))
    bits = encoded(Image.fromarray(ramp > 128), "PNG")
    np.testing.assert_array_equal(images.read(bits, channels=1)[:, :, 0], np.where(ramp > 128, 255, 0))


def test_luma_is_the_same_from_a_png_and_a_jpeg():
    pixels = np.asarray(Image.fromarray(quarters()).convert("L"))
    for content in (
        encoded(Image.fromarray(quarters()), "PNG"),
        encoded(Image.fromarray(quarters()), "JPEG", quality=98),
    ):
        assert abs(images.read(content, channels=1)[8, 8, 0].astype(int) - int(pixels[8, 8])) <= 2


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_smaller_but_not_below_what_is_asked(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](quarters(600, 800))))
    content = encoded(stored, "JPEG", quality=95, exif=exif)
    assert images.read(content).shape == (600, 800, 3)
    assert images.read(content, at_least=(150, 200)).shape == (150, 200, 3)
    assert images.read(content, at_least=(151, 10)).shape == (300, 400, 3)
    assert images.read(content, at_least=(10, 201)).shape == (300, 400, 3)
    assert images.read(content, at_least=(5000, 5000)).shape == (600, 800, 3)
    assert_quarters(images.read(content, at_least=(75, 100)), 6)


# What a user meets in a folder that has grown for years.


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_truncated_files_say_so(kind, tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path = tmp_path / "half.jpg"
    path.write_bytes(encoded(noise, kind)[: len(encoded(noise, kind)) // 2])
    with pytest.raises(images.ImageError, match=r"half\.jpg (cannot be decoded|is not an image)") as caught:
        images.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"my cat, by the window\n", "it is a text file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "it is a web page"),
        (b'<?xml version="1.0"?><svg></svg>', "save it as PNG"),
        (bytes(range(256)), "the formats are JPEG, PNG"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, message):
    path = tmp_path / "cat.jpg"
    path.write_bytes(content)
    with pytest.raises(images.ImageError, match=rf"cat\.jpg .*{message}"):
        images.read(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(images.ImageError, match=r"cat\.jpg cannot be opened: No such file"):
        images.read(tmp_path / "cat.jpg")
    with pytest.raises(images.ImageError, match="cannot be opened: Is a directory"):
        images.read(tmp_path)


def bomb(side):
    """A PNG of a few hundred bytes that declares side × side pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side):
    with pytest.raises(images.ImageError, match=r"declares .*pixels.* a decompression bomb"):
        images.read(bomb(side), max_pixels=100_000_000)


def test_what_has_too_many_pixels_is_told_the_limit_that_holds():
    for limit, told in ((1_000_000, "1,000,000"), (None, f"{images.MAX_PIXELS:,}")):
        more = {} if limit is None else {"max_pixels": limit}
        with pytest.raises(images.ImageError, match=rf"more than {told}"):
            images.read(bomb(60_000), **more)


def test_the_limits_are_the_callers(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(quarters()).save(path)
    with pytest.raises(images.ImageError, match=r"declares 48 × 32 pixels, more than 1,000"):
        images.read(path, max_pixels=1000)
    with pytest.raises(images.ImageError, match="has more than 10 bytes"):
        images.read(path, max_bytes=10)
    with pytest.raises(images.ImageError, match="channels=4; use 3 for RGB or 1 for gray"):
        images.read(path, channels=4)


def test_pixels_without_a_stated_range_are_refused():
    floats = Image.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(images.ImageError, match="its pixels are 32-bit floats, whose range no file states"):
        images.read(encoded(floats, "TIFF"))


@pytest.mark.filterwarnings("ignore")  # decoders may warn of what they then survive
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@given(data=st.data())
def test_any_damage_gives_an_image_or_an_image_error(kind, data):
    content = bytearray(encoded(Image.fromarray(quarters(24, 24)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = images.read(bytes(content), max_pixels=1_000_000)
    except images.ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


def test_a_large_image_is_read_in_silence(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(bomb(10_000))  # Pillow warns from 9,459 pixels a side on
    code = f"from convlens import images\ntry: images.read({str(path)!r})\nexcept images.ImageError: print('refused')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_a_pipe_is_read_to_its_end(tmp_path):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        Image.new("RGB", (5, 4), "red").save(file, "png")
    assert images.read(f"/dev/fd/{reading}").shape == (4, 5, 3)
    os.close(reading)


@pytest.mark.parametrize("source", [None, 5, io.StringIO("text"), np.zeros((4, 4, 3), np.uint8)])
def test_what_is_no_file_is_refused_by_its_type(source):
    with pytest.raises(images.ImageError, match=f"opened with 'rb', not {type(source).__name__}"):
        images.read(source)


def test_the_transparent_value_of_sixteen_bits_lies_over_white():
    file = io.BytesIO()
    values = np.array([[1000, 60000]], np.uint16)
    Image.fromarray(values).save(file, "png", transparency=1000)
    assert images.read(file.getvalue(), channels=1)[0, :, 0].tolist() == [255, 233]


@pytest.mark.parametrize(
    ("bits", "packed", "transparent", "expected"),
    [(1, 0b10100000, 1, [255, 0, 255]), (2, 0b00011011, 1, [0, 255, 170]), (4, 0x25, 5, [34, 255])],
)
def test_the_transparent_value_of_few_bits_lies_over_white(bits, packed, transparent, expected):
    content = png(len(expected), bits, 0, bytes([packed]), struct.pack(">H", transparent))
    assert images.read(content, channels=1)[0, :, 0].tolist() == expected


def test_a_transparent_colour_of_sixteen_bits_is_refused():
    content = png(2, 16, 2, struct.pack(">6H", 0x1234, 0, 0, 0x1256, 0, 0), struct.pack(">3H", 0x1234, 0, 0))
    with pytest.raises(images.ImageError, match="one of its 16-bit colours is transparent; save it with an alpha"):
        images.read(content)


def png(width, bits, colour_type, row, transparent):
    """A PNG of one row."""
    head = struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content
