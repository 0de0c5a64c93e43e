"""From an artifact on disk to a predictor."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.artifacts.artifact_formats import Format, FormatModule, format_of
from convlens.artifacts.manifest import ArtifactError, Manifest
from convlens.errors import ConvlensError
from convlens.predicting.engines import Engine
from convlens.predicting.predictor import Predictor
from convlens.predicting.runtimes import RUNTIMES, require
from convlens.processors import default_threads

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class OpenArtifact:
    """An artifact, read and checked once.

    Attributes:
        path: the file.
        row: its format.
        model: whatever the format keeps a network in.
        manifest: what the file says about itself.
    """

    path: Path
    row: Format
    model: Any = field(repr=False)
    manifest: Manifest

    def predictor(self, runtime: str | None = None, threads: int | None = None) -> Predictor:
        """Make it answer images on one of the runtimes that can run it, its own if None.

        Raises:
            ConvlensError: the runtime is missing or unfit.
        """
        chosen = choose_runtime(runtime, self.row.runtimes, str(self.path))
        count = threads or default_threads()
        return Predictor(
            _tried(self.row.open(), self.model, self.manifest, chosen, count, self.path),
            self.manifest.classes,
            self.manifest.preprocessing,
            source=str(self.path),
            runtime=chosen,
            precision=self.manifest.precision,
            threads=count,
            facts=_facts(self.manifest),
        )

    @property
    def has_network(self) -> bool:
        """Whether it holds a network of the catalogue with its weights, into which one can look."""
        return self.row.weights_only

    def network(self) -> "nn.Module":
        """The network with its weights in float32, in evaluation mode; only where `has_network`."""
        from convlens.artifacts.format_safetensors import build

        return build(self.model, self.manifest)


def open_artifact(path: Path) -> OpenArtifact:
    """Read an artifact.

    Raises:
        ConvlensError: it is not an artifact, damaged or from a newer version.
    """
    row = format_of(path)
    model, manifest = row.open().read(path)
    return OpenArtifact(path=path, row=row, model=model, manifest=manifest)


def _tried(module: FormatModule, model: Any, manifest: Manifest, runtime: str, threads: int, path: Path) -> Engine:
    """Make the model compute, and see that it takes and gives what its manifest says."""
    preprocessing = manifest.preprocessing
    try:
        engine = module.engine(model, manifest, runtime, threads)
        answer = engine(np.zeros((1, preprocessing.channels, *preprocessing.size), np.float32))
    except ConvlensError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except Exception as error:  # a graph that is not a network, which each runtime finds in its own way
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
