"""What a user may ask about: files, folders, patterns, addresses, the bytes of a file, and images in memory."""

import glob
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convlens.data.reaching import contents, is_address
from convlens.errors import ConvlensError
from convlens.images import SUFFIXES, Preprocessing, from_pillow, image_tensors, with_channels


@dataclass(frozen=True, kw_only=True)
class Input:
    """One image that is asked about: what it is called, and how it becomes what the network takes.

    `prepare` gives float32 (C, H, W), and raises ConvlensError or OSError where the image cannot be read.
    """

    name: str
    prepare: Callable[[Preprocessing], NDArray[np.float32]]


def list_inputs(images: Any) -> list[Input]:
    """List the images that a user names or holds, in order; a file that is named twice comes once.

    Args:
        images: one or several of: a path, a folder, a pattern, an http://, https:// or s3:// address, the bytes of a
            file, a file opened with 'rb', a picture of Pillow's, an array (H, W), (H, W, C) or (N, H, W, C), a torch
            tensor (C, H, W) or (N, C, H, W), uint8 or floats of 0..1. Images in memory are called `image 0`, `image 1`,
            …

    Raises:
        ConvlensError: something else, or an array of another shape.
    """
    several = list(images) if isinstance(images, Iterable) and not _is_one(images) else [images]
    listed: dict[str, Input] = {}
    for each in several:
        for one in _inputs_of(each, len(listed)):
            listed.setdefault(one.name, one)
    return list(listed.values())


def find_files(paths: Sequence[str | Path]) -> list[Path]:
    """List the files that `paths` name: files as they are, images below folders, what patterns match, in order, once.

    A path that names nothing is kept, so that its prediction can say so, and so is a folder without images.

    Raises:
        ConvlensError: if there are no paths, or none but folders without images.
    """
    if not paths:
        raise ConvlensError("no images to predict; give files, folders or patterns such as 'photos/*.jpg'")
    for path in paths:
        if is_address(path):
            raise ConvlensError(f"{path} is an address, and files are asked for; download it, or use convlens predict")
    if "" in paths:
        raise ConvlensError("a path is empty; give a file, a folder or a pattern")
    found = [file for path in paths for file in _files_of(Path(path)) or [Path(path)]]
    if all(file.is_dir() for file in found):
        names = ", ".join(repr(str(file)) for file in found)
        raise ConvlensError(f"no images in {names}; give a folder that holds JPEG, PNG, WebP, BMP, TIFF or GIF files")
    return list(dict.fromkeys(found))


def from_bytes(content: bytes, name: str) -> Input:
    """The image in the bytes of a file."""
    return Input(name=name, prepare=lambda preprocessing: _named(name, lambda: preprocessing.open(content)))


def from_file(path: Path) -> Input:
    """The image in a file of this machine."""

    def prepare(preprocessing: Preprocessing) -> NDArray[np.float32]:
        if not path.exists():
            raise ConvlensError(f"no such file: {path}")
        if path.is_dir():
            raise ConvlensError(f"no images in {path}")
        return preprocessing.open(path)

    return Input(name=str(path), prepare=prepare)


def from_address(address: str) -> Input:
    """The image behind an address."""
    return Input(name=address, prepare=lambda preprocessing: _fetched(preprocessing, address))


def from_tensor(image_HWC: NDArray[np.uint8], name: str) -> Input:
    """A decoded image, uint8 (H, W, C)."""
    return Input(name=name, prepare=lambda preprocessing: _applied(preprocessing, image_HWC))


def _is_one(images: Any) -> bool:
    one = isinstance(images, (str, bytes, bytearray, memoryview, Path, Image.Image, np.ndarray))
    return one or _is_tensor(images) or hasattr(images, "read")


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _inputs_of(each: Any, number: int) -> list[Input]:
    name = f"image {number}"
    if isinstance(each, bytes | bytearray | memoryview):
        return [from_bytes(bytes(each), name)]
    if not isinstance(each, Image.Image) and hasattr(each, "read"):
        content = each.read()
        if not isinstance(content, bytes):
            raise ConvlensError(f"{name} is a file of text; open it with 'rb'")
        return [from_bytes(content, name)]
    if isinstance(each, str) and not each:
        raise ConvlensError("a path is empty; give a file, a folder, a pattern or an address")
    if isinstance(each, str) and is_address(each):
        return [from_address(each)]
    if isinstance(each, (str, Path)):
        return [from_file(file) for file in _files_of(Path(each)) or [Path(each)]]
    if isinstance(each, Image.Image):
        return [Input(name=name, prepare=lambda preprocessing: _of_picture(preprocessing, each, name))]
    if isinstance(each, np.ndarray) or _is_tensor(each):
        try:
            tensors = image_tensors(each, name)
        except ValueError as error:
            raise ConvlensError(str(error)) from None
        return [from_tensor(tensor, f"image {number + i}") for i, tensor in enumerate(tensors)]
    raise ConvlensError(
        f"{type(each).__name__} is not an image; give paths, addresses, bytes, Pillow pictures, arrays or torch tensors"
    )


def _applied(preprocessing: Preprocessing, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    return preprocessing.apply(with_channels(image_HWC, preprocessing.channels))


def _of_picture(preprocessing: Preprocessing, picture: Image.Image, name: str) -> NDArray[np.float32]:
    try:
        return preprocessing.apply(from_pillow(picture, preprocessing.channels))
    except ValueError as error:
        raise ConvlensError(f"{name} cannot be used: {error}") from None


def _fetched(preprocessing: Preprocessing, address: str) -> NDArray[np.float32]:
    content = contents(address)
    return _named(address, lambda: preprocessing.open(content))


def _named(name: str, prepare: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Prepare, and call the image by its name where that fails."""
    try:
        return prepare()
    except ConvlensError as error:
        raise ConvlensError(str(error).replace("the file", name, 1)) from None


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not _hidden(p, path))
        # A link to nowhere is told about; a pipe, or a folder of that name, is no image.
        return [p for p in inside if p.is_file() or not p.exists()]
    if not path.exists() and glob.has_magic(str(path)):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
        return [file for match in matches for file in _files_of(match)] or [path]
    return [path]


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
