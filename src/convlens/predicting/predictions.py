"""Predictions for images: read in parallel, answered one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.data.parallel import in_order
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.prediction_inputs import Input, find_files, list_inputs
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


def predict(
    predictor: Answering,
    images: Any,
    *,
    top: int = 5,
    batch: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[FilePrediction]:
    """Predict the classes of images, wherever they are.

    Args:
        predictor: what runs the network.
        images: one or several files, folders, patterns, addresses, bytes, Pillow pictures, arrays or tensors; see
            `list_inputs`. None at all gives no answer.
        top: how many classes to give for each image.
        batch: how many images go through the network at a time.
        on_progress: called with how many images are done and how many there are.

    Returns:
        One answer an image, in order, whatever else was in its batch; images in memory are called `image 0`, …
        What cannot be read has an error instead of classes.

    Raises:
        ConvlensError: something that is no image, or an array of another shape or type.
    """
    return predict_inputs(predictor, list_inputs(images), top=top, batch=batch, on_progress=on_progress)


def predict_files(
    predictor: Answering,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    batch: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[FilePrediction]:
    """Predict the classes of image files, folders of them, or patterns, as `predict` does.

    Raises:
        ConvlensError: if there are no paths, or none but folders without images.
    """
    return predict(predictor, find_files(paths), top=top, batch=batch, on_progress=on_progress)


def predict_inputs(
    predictor: Answering,
    inputs: Sequence[Input],
    *,
    top: int = 5,
    batch: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[FilePrediction]:
    """Predict what `list_inputs` has listed."""
    if top < 1:
        raise ConvlensError(f"top is {top}; ask for at least 1 class")
    if batch < 1:
        raise ConvlensError(f"batch is {batch}; use at least 1")
    settled = Settled(predictor)
    answers: list[FilePrediction] = []
    prepared = in_order(partial(prepare_input, predictor.preprocessing), inputs, ahead=batch, name="convlens-predict")
    for start in range(0, len(inputs), batch):  # the next images are read while these are computed
        names = [one.name for one in inputs[start : start + batch]]
        answers.extend(answer_prepared(settled, names, list(islice(prepared, batch)), top))
        if on_progress:
            on_progress(len(answers), len(inputs))
    return answers


Prepared = NDArray[np.float32] | str  # what the network takes, or why the image gives nothing


def prepare_input(preprocessing: Preprocessing, one: Input) -> Prepared:
    """What the network takes of an image, float32 (C, H, W), or why it cannot be read."""
    try:
        return one.prepare(preprocessing)
    except ConvlensError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)


def answer_prepared(
    settled: Settled, names: Sequence[str], prepared: Sequence[Prepared], top: int
) -> list[FilePrediction]:
    """Answer for images of these names; each has an answer or an error."""
    whole = [x for x in prepared if not isinstance(x, str)]
    rows = iter(settled.guesses(np.stack(whole), top)) if whole else iter(())
    return [
        FilePrediction(file=name, error=x) if isinstance(x, str) else FilePrediction(file=name, classes=next(rows))
        for name, x in zip(names, prepared, strict=True)
    ]
