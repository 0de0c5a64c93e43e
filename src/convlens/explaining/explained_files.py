"""Heat maps of image files, as pictures and as arrays, and all of them on one sheet."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convlens import files
from convlens.errors import ConvlensError
from convlens.explaining.explanation import Explanation
from convlens.explaining.heat_pictures import as_seen, enlarged, overlay, sheet
from convlens.predicting.prediction_inputs import Input
from convlens.predicting.protocol import Answering


@dataclass(frozen=True, kw_only=True)
class ExplainedFile:
    """What was written for one image file, or why nothing was.

    Attributes:
        picture: the heat over the image, PNG.
        array: the map, `.npy`, float32 (H, W) from 0 to 1.
    """

    file: str
    label: str = ""
    probability: float = 0.0
    method: str = ""
    layer: str = ""
    picture: str = ""
    array: str = ""
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as `explain --json` prints it."""
        if self.error is not None:
            return {"file": self.file, "error": self.error}
        return {name: value for name, value in asdict(self).items() if name != "error"}


def explain_files(
    predictor: Answering,
    explain: Callable[[NDArray[np.float32]], Explanation],
    inputs: Sequence[Input],
    out: Path,
    *,
    on_sheet: bool = False,
) -> list[ExplainedFile]:
    """Explain images, each of which has a name.

    Args:
        predictor: gives classes, preprocessing and probabilities.
        explain: from a preprocessed image (C, H, W) to its explanation.
        inputs: the images.
        out: the folder for pictures and arrays.
        on_sheet: whether to write `sheet.png` too.

    Returns:
        One entry a file, in order; one that cannot be read has an error.
    """
    explained, pairs = [], []
    for one, stem in zip(inputs, _stems([each.name for each in inputs]), strict=True):
        try:
            x_CHW = one.prepare(predictor.preprocessing)
        except (ConvlensError, OSError) as error:
            explained.append(ExplainedFile(file=one.name, error=str(error)))
            continue
        explanation = explain(x_CHW)
        probability = float(predictor.probabilities(x_CHW[None])[0, explanation.target])
        seen = as_seen(predictor.preprocessing, x_CHW)
        picture = overlay(seen, explanation.heat)
        target = out / f"{stem}-{explanation.method}"
        entry = ExplainedFile(
            file=one.name,
            label=predictor.classes[explanation.target],
            probability=round(probability, 4),
            method=explanation.method,
            layer=explanation.layer,
            picture=str(_write_picture(f"{target}.png", enlarged(picture))),
            array=str(_write_array(f"{target}.npy", explanation.heat)),
        )
        explained.append(entry)
        pairs.append((f"{Path(one.name).name}: {entry.label} {probability:.1%}", seen, picture))
    if on_sheet and pairs:
        _write_picture(str(out / "sheet.png"), sheet(pairs))
    return explained


def _stems(names: Sequence[str]) -> list[str]:
    """The images' names without suffix, numbered where two of them are the same."""
    seen: dict[str, int] = {}
    stems = []
    for name in names:
        stem = "standard-input" if name == "-" else files.short_stem(name)
        seen[stem] = seen.get(stem, 0) + 1
        stems.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return stems


def _write_picture(path: str, picture: Image.Image) -> Path:
    with files.replacing(path) as temporary:
        picture.save(temporary, "png")
    return Path(path)


def _write_array(path: str, array: NDArray[np.float32]) -> Path:
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
    return Path(path)
