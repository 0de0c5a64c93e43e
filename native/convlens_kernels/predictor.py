"""Predictions from a plan file with NumPy and Pillow alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .images import Preprocessing
from .plan_file import Plan, PlanError, read_plan

Source = str | Path | bytes | npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One image's classes with their probabilities, the likeliest first."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[0]


class Predictor:
    """A plan that takes image files: `load` makes one."""

    def __init__(self, plan: Plan, *, threads: int = 1) -> None:
        self.plan = plan
        self.program = plan.program(threads=threads)
        try:
            self.classes: Sequence[str] = [str(name) for name in plan.metadata["classes"]]
            self.preprocessing = Preprocessing.from_dict(plan.metadata["preprocessing"])
        except (KeyError, TypeError, ValueError) as error:
            raise PlanError(
                f"{plan.path} lacks its classes or preprocessing ({error}); use read_plan to run it"
            ) from None
        given, answers = ([plan.description["tensors"][i] for i in plan.description[k]] for k in ("inputs", "outputs"))
        shapes = [tuple(t[k] for k in ("channels", "height", "width")) for t in (*given, *answers)]
        image = (self.preprocessing.channels, *self.preprocessing.size)
        if len(given) != 1 or shapes != [image, (len(self.classes), 1, 1)]:
            raise PlanError(
                f"{plan.path} has tensors of {shapes}, but images of {image} and {len(self.classes)} classes; "
                "export it again, or use read_plan to run it"
            )
        self._takes_bytes = given[0].get("layout") == "nhwc"

    def logits(self, images: Iterable[Source]) -> npt.NDArray[np.float32]:
        """What the network gives for files, their bytes, or pixels uint8 (H, W, C): float32 (N, classes)."""
        pixels = [self.preprocessing.open(image) for image in images]
        if not pixels:
            return np.empty((0, len(self.classes)), np.float32)
        batch = np.stack(pixels)
        result: npt.NDArray[np.float32] = self.program.run(
            batch if self._takes_bytes else self.preprocessing.normalize(batch)
        )
        return result

    def probabilities(self, images: Iterable[Source]) -> npt.NDArray[Any]:
        """The probability of each class, (N, classes)."""
        logits = self.logits(images)
        if self.plan.metadata.get("output", "logits") == "probabilities":
            return logits
        exponents = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True, initial=-np.inf))
        return exponents / exponents.sum(1, keepdims=True)

    def predict(self, images: Iterable[Source], *, top: int = 5) -> list[Prediction]:
        """The `top` likeliest classes of each image. ImageError names a file that is no image."""
        found = []
        for row in self.probabilities(images):
            order = np.argsort(-row, kind="stable")[:top]
            found.append(
                Prediction(
                    classes=tuple(self.classes[i] for i in order), probabilities=tuple(float(row[i]) for i in order)
                )
            )
        return found


def load(path: str | Path, *, threads: int = 1) -> Predictor:
    """A predictor from a plan file. PlanError says what is wrong with the file and what to do."""
    return Predictor(read_plan(path), threads=threads)
