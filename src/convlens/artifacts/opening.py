"""From an artifact on disk to a predictor."""

from pathlib import Path
from typing import Any

from convlens.artifacts.formats import format_of
from convlens.artifacts.manifest import Manifest
from convlens.errors import ConvlensError
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
        module.engine(model, manifest, chosen, count),
        manifest.classes,
        manifest.preprocessing,
        source=str(path),
        runtime=chosen,
        precision=manifest.precision,
        threads=count,
        facts=_facts(manifest),
    )


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
