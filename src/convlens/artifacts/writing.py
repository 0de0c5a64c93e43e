"""An artifact written beside its destination, proved from there, and moved into place only if the proof holds."""

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import files
from convlens.artifacts.artifact_formats import Format
from convlens.artifacts.manifest import Manifest
from convlens.artifacts.proof import Images
from convlens.artifacts.proving import prove
from convlens.predicting.predictor import torch_predictor

if TYPE_CHECKING:
    from torch import nn

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What was written.

    Args:
        path: the file to give to later commands.
        files: all that belongs to it.
        format: its name.
        manifest: what it says about itself, its proof included.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    manifest: Manifest

    def to_dict(self) -> dict[str, Any]:
        """Give it as `export --json` prints it."""
        return {
            "path": str(self.path),
            "files": [str(file) for file in self.files],
            "bytes": sum(file.stat().st_size for file in self.files),
            "format": self.format,
            "precision": self.manifest.precision,
            "preprocessing_inside": self.manifest.preprocessing_inside,
            "proof": dict(self.manifest.proof),
            "choice": dict(self.manifest.choice),
        }


def write_proved(
    network: "nn.Module",
    row: Format,
    model: Any,
    manifest: Manifest,
    path: Path,
    images: Images,
    origin: str,
    note: Note = lambda _: None,
    choice: Mapping[str, Any] | None = None,
) -> Artifact:
    """Write `model` beside its destination, prove it from there, and move it to `path` if the proof holds.

    Args:
        network: what the model was made from.
        row: the format.
        model: what the format keeps the network in.
        manifest: what the file is to say about itself, but for its proof.
        path: the destination.
        images: decoded, uint8 (H, W, C), to prove it on.
        origin: where they are from.
        note: told what the user should know.
        choice: how the precision was chosen.

    Raises:
        ProofError: it answers differently from the network; nothing was written.
    """
    module = row.open()
    # A copy, because the predictor changes the memory format of what it gets.
    reference = torch_predictor(copy.deepcopy(network), manifest.classes, manifest.preprocessing, device="cpu")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as staging:
        staged = Path(staging) / path.name
        module.save(model, staged, manifest)
        proof = prove(network, reference, row, staged, images, origin)
        if manifest.preprocessing_inside and not proof.holds_inside:
            note(
                f"the preprocessing stays outside: inside, pixels differ by up to {proof.pixel_levels} levels; "
                "a client must apply it, as convlens does"
            )
            manifest = replace(manifest, preprocessing_inside=False)
        elif not manifest.preprocessing_inside:
            note(
                f"the preprocessing stays outside: {row.name} cannot hold it; a client must apply it, as convlens does"
            )
        manifest = replace(manifest, proof=proof.to_dict(), choice=dict(choice or {}))
        module.save(model, staged, manifest)
        return _move(row, staged, path, manifest)


def _move(row: Format, staged: Path, path: Path, manifest: Manifest) -> Artifact:
    """Put the files in place, the one that people name last, so that whoever finds it finds the others."""
    written = tuple(path.with_suffix(suffix) for suffix in row.suffixes)
    for target in reversed(written):
        with files.replacing(target) as temporary:
            staged.with_suffix(target.suffix).replace(temporary)
    return Artifact(path=path, files=written, format=row.name, manifest=manifest)
