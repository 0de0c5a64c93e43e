"""What a server serves: copied when it starts, so that all workers load the same, whatever happens to it on disk."""

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convlens import files, runs
from convlens.classifiers import Classifier, resolve
from convlens.errors import ConvlensError
from convlens.predicting import Answering
from convlens.serving.service import Loaded

if TYPE_CHECKING:
    from convlens.explaining import Explainer

_CURRENT = "current"  # a file with the number of the copy that is served


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is served, and where its copies are.

    Args:
        source: as the user named it; a run or an artifact is copied, anything else is loaded as it is.
        weights: for the name of a network or code.
        classes: the class names, for a file of weights.
        runtime: what computes.
        threads: that one call may use.
        device: where PyTorch runs.
        folder: for the copies.
    """

    source: str
    weights: str | None
    classes: tuple[str, ...] | None
    runtime: str | None
    threads: int
    device: str
    folder: Path

    def renew(self) -> None:
        """Copy what is on disk now, and have it served from the next `load` on.

        Raises:
            ConvlensError: it is not whole; what was served before still is.
        """
        path = Path(self.source)
        number = next(n for n in itertools.count(1) if not (self.folder / str(n)).exists())
        copy = self._copy(str(number))
        copy.parent.mkdir(parents=True)
        try:
            if runs.is_run(path):
                _copy_run(path, copy)
            elif path.is_file():
                for file in path.parent.glob(f"{path.stem}.*"):
                    if file.suffix in (path.suffix, ".bin"):
                        shutil.copy(file, copy.with_suffix(file.suffix))
            self._resolve(copy)
        except (ConvlensError, OSError) as error:
            shutil.rmtree(copy.parent, ignore_errors=True)
            raise ConvlensError(str(error)) from None
        files.write_text(self.folder / _CURRENT, str(number))

    def go_back(self) -> Callable[[], None]:
        """Give what has the copy served again that is served now."""
        number = self._number()
        return lambda: files.write_text(self.folder / _CURRENT, number)

    def load(self) -> Loaded:
        """Load the copy that is served.

        Raises:
            ConvlensError: it is nothing that classifies, or the runtime is missing or unfit.
        """
        found = self._resolve(self._copy(self._number()))
        return loaded(found, runtime=self.runtime, threads=self.threads, device=self.device)

    def _resolve(self, copy: Path) -> Classifier:
        source = str(copy) if copy.exists() else self.source
        return resolve(source, weights=self.weights, classes=self.classes, trained=True)

    def _copy(self, number: str) -> Path:
        return self.folder / number / Path(self.source).resolve().name

    def _number(self) -> str:
        return (self.folder / _CURRENT).read_text(encoding="utf-8")


def loaded(found: Classifier, *, runtime: str | None, threads: int, device: str) -> Loaded:
    """Load a classifier, and what is told of it.

    Raises:
        ConvlensError: it is nothing that classifies, or the runtime is missing or unfit.
    """
    predictor = found.predictor(runtime=runtime, threads=threads, device=device)
    about = {**predictor.info(), "source": found.name, "sha256": found.fingerprint}
    if "data_fingerprint" in found.provenance.run:
        about["fingerprint"] = found.provenance.run["data_fingerprint"]
    return Loaded(predictor=predictor, load_explainer=partial(_load_explainer, found, predictor), about=about)


def _copy_run(run: Path, copy: Path) -> None:
    """The description last: it is written after the weights that it describes."""
    (copy / "weights").mkdir(parents=True)
    for file in (run / "weights").glob("*.safetensors"):
        shutil.copy(file, copy / "weights")
    shutil.copy(run / "run.yaml", copy)


def _load_explainer(found: Classifier, predictor: Answering) -> "Explainer":
    import copy

    from convlens.explaining import Explainer

    # a copy, because the answers run on the network meanwhile
    return Explainer(predictor, copy.deepcopy(found.network) if found.load else None)
