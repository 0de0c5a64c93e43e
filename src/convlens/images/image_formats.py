"""Which image formats are read, by which decoder, and what is said of those that are not."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from PIL import Image, TiffImagePlugin, WebPImagePlugin, features

# Only these decoders are tried, so that a file from a stranger cannot reach an obscure one. Pillow registers the first
# five by itself, and would import all of its decoders to find the others.
Image.preinit()
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "GIF",
    "PPM",
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
# fmt: off
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm",
    ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c",
})
# Images to their owner, which are never read here: to list them says so for each, where passing over them would not.
UNREAD_SUFFIXES = frozenset({
    ".svg", ".psd", ".xcf", ".ai", ".eps", ".ico", ".pcx", ".tga", ".exr", ".hdr", ".dds", ".jxr", ".wdp", ".bpg",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".srw", ".pef",
    ".dcm", ".dicom", ".nii", ".mhd", ".nrrd", ".fits", ".svs", ".ndpi",
})
# fmt: on


@dataclass(frozen=True, kw_only=True)
class LateFormat:
    """A format whose decoder is loaded when the first such file comes.

    Args:
        name: what people call it.
        decoder: what Pillow calls it.
        begins: whether the bytes of a file begin like one.
        load: registers the decoder with Pillow.
        remedy: what to do where there is none.
    """

    name: str
    decoder: str
    begins: Callable[[bytes], bool]
    load: Callable[[], None]
    remedy: str


def _brands(content: bytes) -> set[bytes]:
    """The brands of an ISO base media file: what its parts may be read as (ISO/IEC 14496-12, 4.3)."""
    if content[4:8] != b"ftyp":
        return set()
    box = content[: min(int.from_bytes(content[:4], "big"), 256)]
    return {box[8:12], *(box[i : i + 4] for i in range(16, len(box) - 3, 4))}


def _plugin(feature: str, module: str) -> Callable[[], None]:
    def load() -> None:
        if not features.check(feature):
            raise ImportError
        import_module(f"PIL.{module}")

    return load


def _load_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def _load_jxl() -> None:
    import_module("pillow_jxl")


_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"}
LATE_FORMATS = (
    LateFormat(
        name="AVIF",
        decoder="AVIF",
        begins=lambda content: bool(_brands(content) & {b"avif", b"avis"}),
        load=_plugin("avif", "AvifImagePlugin"),
        remedy="run pip install 'pillow>=11.3', or save it as JPEG or PNG",
    ),
    LateFormat(
        name="HEIC",
        decoder="HEIF",
        begins=lambda content: bool(_brands(content) & (_HEIC | {b"mif1", b"msf1"})),
        load=_load_heif,
        remedy="run pip install 'convlens[heic]', or save it as JPEG or PNG",
    ),
    LateFormat(
        name="JPEG XL",
        decoder="JXL",
        begins=lambda content: content[:2] == b"\xff\x0a" or content[4:12] == b"JXL \r\n\x87\n",
        load=_load_jxl,
        remedy="run pip install 'convlens[jxl]', or save it as JPEG or PNG",
    ),
    LateFormat(
        name="JPEG 2000",
        decoder="JPEG2000",
        begins=lambda content: content[4:12] == b"jP  \r\n\x87\n" or content[:4] == b"\xff\x4f\xff\x51",
        load=_plugin("jpg_2000", "Jpeg2KImagePlugin"),
        remedy="install a Pillow with OpenJPEG, or save it as JPEG or PNG",
    ),
)


def late_format(content: bytes) -> LateFormat | None:
    """The format of a file's bytes, if it is one whose decoder is not loaded from the start."""
    return next((row for row in LATE_FORMATS if row.begins(content)), None)
