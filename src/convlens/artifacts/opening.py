"""From an artifact on disk to a predictor."""

from pathlib import Path
from typing import Any

import numpy as np

from convlens.artifacts.formats import FormatModule, format_of
from convlens.artifacts.manifest import ArtifactError, Manifest
from convlens.errors import ConvlensError
from convlens.predicting.engines import Engine
from convlens.predicting.predictor import Predictor
from convlens.predicting.runtimes import RUNTIMES, require
from convlens.processors import default_threads


def load_artifact(path: Path, *, runtime: str | None = None, threads: int | None = None) -> Predictor:
    """Load an artifact on one of the runtimes that can run it, its own if None.

    Raises:
        ConvlensError: it is no artifact, damaged or from a newer version, or the runtime is missing or unfit.
    """
    row = format_of(path)
    chosen = choose_runtime(runtime, row.runtimes, str(path))
    module = row.open()
    model, manifest = module.read(path)
    count = threads or default_threads()
    return Predictor(
        _tried(module, model, manifest, chosen, count, path),
        manifest.classes,
        manifest.preprocessing,
        source=str(path),
        runtime=chosen,
        precision=manifest.precision,
        threads=count,
        facts=_facts(manifest),
    )


def _tried(module: FormatModule, model: Any, manifest: Manifest, runtime: str, threads: int, path: Path) -> Engine:
    """Make the model compute, and see that it takes and gives what its manifest says."""
    preprocessing = manifest.preprocessing
    try:
        engine = module.engine(model, manifest, runtime, threads)
        answer = engine(np.zeros((1, preprocessing.channels, *preprocessing.size), np.float32))
    except ConvlensError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except Exception as error:  # a graph that is no network, which each runtime finds in its own way
        reason = " ".join(str(error).split())[-160:] or type(error).__name__
        raise ArtifactError(f"{path} does not run on {runtime} ({reason}); export it again") from None
    if answer.shape != (1, len(manifest.classes)):
        raise ArtifactError(
            f"{path} answers with {answer.shape} for one image and names {len(manifest.classes)} classes; "
            "export it again"
        )
    return engine


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "network": manifest.network["name"],
        "run": dict(manifest.run),
        "weights_licence": manifest.weights_licence,
        "preprocessing_inside": manifest.preprocessing_inside,
        "proof": dict(manifest.proof),
    }


def choose_runtime(runtime: str | None, possible: tuple[str, ...], where: str) -> str:
    """The runtime asked for, or the first of those possible.

    Raises:
        ConvlensError: it is unknown, not installed, or cannot run this.
    """
    chosen = runtime or possible[0]
    require(chosen)
    if chosen not in possible:
        titles = " or ".join(RUNTIMES[name].name for name in possible)
        raise ConvlensError(f"{where} cannot run on {chosen}; use {titles}, or export the run to another format")
    return chosen
