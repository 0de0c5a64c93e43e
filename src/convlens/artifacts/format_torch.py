"""PyTorch: an archive of torch.export (.pt2), written and read without pickle."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.artifacts.manifest import ArtifactError, Manifest
from convlens.artifacts.probes import Array, Probe
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, Precision, TorchEngine

if TYPE_CHECKING:
    from torch import nn

_ENTRY = "convlens.json"


def translate(network: "nn.Module", preprocessing: Preprocessing, precision: Precision) -> Any:
    """Turn a network into an `ExportedProgram`."""
    import torch

    from convlens.artifacts.program import freeze

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return freeze(network, preprocessing.channels, preprocessing.size, dtype=dtype)


def save(model: Any, path: Path, manifest: Manifest) -> None:
    """Write the program with its manifest."""
    import torch

    with path.open("wb") as file:
        torch.export.save(model, file, extra_files={_ENTRY: json.dumps(manifest.to_strings())})


def read(path: Path) -> tuple[Any, Manifest]:
    """Read what `save` wrote."""
    import torch

    manifest = Manifest.from_strings(_check(path), str(path))
    try:
        program = torch.export.load(str(path))
    except OSError:
        raise
    except Exception as error:  # whatever torch makes of a damaged archive
        raise ArtifactError(f"{path} cannot be read ({_line(error)}); export it again") from None
    return program, manifest


def engine(model: Any, _manifest: Manifest, _runtime: str, threads: int) -> Engine:
    """Make it compute on PyTorch."""
    return TorchEngine(model.module(), threads)


def can_attach(_preprocessing: Preprocessing) -> bool:
    """Never: PyTorch's operators do not resize as Pillow does."""
    return False


def whole_probe(_path: Path) -> Probe:
    """There is none."""
    raise NotImplementedError


def operations_probe(model: Any, names: Sequence[str], _precision: Precision) -> Probe:
    """From preprocessed images to the named values inside."""
    import torch

    from convlens.artifacts.recording import record_values

    def probe(x: Array) -> dict[str, Array]:
        values = record_values(model.module(), torch.from_numpy(np.ascontiguousarray(x)))
        return {name: value for name, value in values.items() if name in set(names)}

    return probe


def _check(path: Path) -> dict[str, str]:
    """Read the manifest, and refuse an archive in which anything would have to be unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ArtifactError(f"{path} is damaged; copy it again or export again")
            contents = {name.partition("/")[2]: name for name in archive.namelist()}
            if f"extra/{_ENTRY}" not in contents:
                return {}
            _refuse_pickles(archive, contents, path)
            strings: dict[str, str] = json.loads(archive.read(contents[f"extra/{_ENTRY}"]))
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path} is truncated or no archive ({_line(error)}); export it again") from None
    return strings


def _refuse_pickles(archive: zipfile.ZipFile, contents: dict[str, str], path: Path) -> None:
    for entry, name in contents.items():
        suspicious = entry.endswith((".pt", ".pkl")) and archive.getinfo(name).file_size > 0
        if entry.endswith("_config.json"):
            payloads = json.loads(archive.read(name))["config"].values()
            suspicious |= any(payload["use_pickle"] for payload in payloads)
        if suspicious or "custom_obj" in entry or "opaque_obj" in entry:
            raise ArtifactError(f"{path} holds a pickle ({entry}), which could run anything; it was not opened")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
