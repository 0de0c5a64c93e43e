"""Predictions for image files: found by path, folder or pattern, read in parallel, answered one by one."""

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data.parallel import in_order
from convlens.errors import ConvlensError
from convlens.images import SUFFIXES, Preprocessing
from convlens.predicting.protocol import Answering
from convlens.predicting.ranking import Guess
from convlens.predicting.settled import Settled


@dataclass(frozen=True, kw_only=True)
class FilePrediction:
    """The answer for one file: its likeliest classes, best first, or why there is none."""

    file: str
    classes: tuple[Guess, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as `predict --json` prints it."""
        if self.error is not None:
            return {"file": self.file, "error": self.error}
        return {"file": self.file, "classes": [vars(guess) for guess in self.classes]}


def find_files(paths: Sequence[str | Path]) -> list[Path]:
    """List the files that `paths` name: files as they are, images below folders, what patterns match, in order, once.

    A path that names nothing is kept, so that its prediction can say so, and so is a folder without images.

    Raises:
        ConvlensError: if there are no paths, or none but folders without images.
    """
    if not paths:
        raise ConvlensError("no images to predict; give files, folders or patterns such as 'photos/*.jpg'")
    found = [file for path in paths for file in _files_of(Path(path)) or [Path(path)]]
    if all(file.is_dir() for file in found):
        names = ", ".join(repr(str(file)) for file in found)
        raise ConvlensError(f"no images in {names}; give a folder that holds JPEG, PNG, WebP, BMP, TIFF or GIF files")
    return list(dict.fromkeys(found))


def predict_files(
    predictor: Answering,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    batch: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[FilePrediction]:
    """Predict the classes of image files, folders of them, or patterns.

    Args:
        predictor: what runs the network.
        paths: what to predict; see `find_files`.
        top: how many classes to give for each file.
        batch: how many images go through the network at a time.
        on_progress: called with how many files are done and how many there are.

    Returns:
        One answer a file, in order. A file that cannot be read has an error instead of classes.
    """
    _check(top, batch)
    files = find_files(paths)
    settled = Settled(predictor)
    answers: list[FilePrediction] = []
    for chunk, inputs in _read_ahead(predictor.preprocessing, files, batch):
        answers.extend(_answer(settled, chunk, inputs, top))
        if on_progress:
            on_progress(len(answers), len(files))
    return answers


def predict_images(
    predictor: Answering, images: Sequence[NDArray[np.uint8]], *, top: int = 5, batch: int = 32
) -> list[FilePrediction]:
    """Predict the classes of decoded images, uint8 (H, W, C), exactly as those of files; they are called `image 0`, ….

    Args:
        predictor: what runs the network.
        images: what to predict.
        top: how many classes to give for each image.
        batch: how many images go through the network at a time.

    Raises:
        ConvlensError: an image of another shape or type than the preprocessing takes.
    """
    _check(top, batch)
    settled = Settled(predictor)
    answers: list[FilePrediction] = []
    for start in range(0, len(images), batch):
        chunk = range(start, min(start + batch, len(images)))
        inputs = [predictor.preprocessing.apply(images[i]) for i in chunk]
        answers.extend(_answer(settled, [Path(f"image {i}") for i in chunk], inputs, top))
    return answers


def _check(top: int, batch: int) -> None:
    if top < 1:
        raise ConvlensError(f"top is {top}; ask for at least 1 class")
    if batch < 1:
        raise ConvlensError(f"batch is {batch}; use at least 1")


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


Input = NDArray[np.float32] | str  # what the network takes, or why the file gives nothing


def _open(preprocessing: Preprocessing, path: Path) -> Input:
    if not path.exists():
        return f"no such file: {path}"
    if path.is_dir():
        return f"no images in {path}"
    try:
        return preprocessing.open(path)
    except ConvlensError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)


def _read_ahead(
    preprocessing: Preprocessing, files: Sequence[Path], batch: int
) -> Iterator[tuple[Sequence[Path], list[Input]]]:
    """Read the next chunk of files while the caller works on this one."""
    inputs = in_order(partial(_open, preprocessing), files, ahead=batch, name="convlens-predict")
    for start in range(0, len(files), batch):
        yield files[start : start + batch], list(islice(inputs, batch))


def _answer(settled: Settled, files: Sequence[Path], inputs: Sequence[Input], top: int) -> list[FilePrediction]:
    whole = [x for x in inputs if not isinstance(x, str)]
    rows = iter(settled.guesses(np.stack(whole), top)) if whole else iter(())
    return [
        FilePrediction(file=str(file), error=x)
        if isinstance(x, str)
        else FilePrediction(file=str(file), classes=next(rows))
        for file, x in zip(files, inputs, strict=True)
    ]
