"""PyTorch: an archive of torch.export (.pt2), written without pickle and read without running anything in it."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.artifacts.manifest import PREFIX, ArtifactError, Manifest
from convlens.artifacts.probes import Array, Probe
from convlens.artifacts.sealed import read_sealed
from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, Precision, TorchEngine
from convlens.untrusted.archives import read_members
from convlens.untrusted.sealing import NAME

if TYPE_CHECKING:
    from torch import nn

_ENTRY = "convlens.json"
_SAMPLES = "data/sample_inputs/model.pt"  # a pickle where it is not empty
_EXPECTED = re.compile(
    r"data/(weights/weight|constants/tensor)_\d+|data/(weights/model_weights|constants/model_constants)_config\.json"
    rf"|models/model\.json|{re.escape(_SAMPLES)}|extra/{re.escape(_ENTRY)}"
    r"|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)


def translate(network: "nn.Module", preprocessing: Preprocessing, precision: Precision) -> Any:
    """Turn a network into an `ExportedProgram`."""
    import torch

    from convlens.artifacts.program import freeze

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return freeze(network, preprocessing.channels, preprocessing.size, dtype=dtype)


def save(model: Any, path: Path, manifest: Manifest) -> None:
    """Write the program with its manifest."""
    import torch

    from convlens.untrusted.pickles import seal_archive

    strings = {key: text for key, text in manifest.to_strings().items() if key != f"{PREFIX}{NAME}"}
    buffer = io.BytesIO()
    torch.export.save(model, buffer, extra_files={_ENTRY: json.dumps(strings)})
    path.write_bytes(seal_archive(buffer.getvalue()))


def read(path: Path) -> tuple[Any, Manifest]:
    """Read what `save` wrote; the module begins at the preprocessed image."""
    from convlens.artifacts.torch_graph import build_module, check_sizes

    content = read_sealed(path)
    try:
        members = read_members(content, path, lambda name: _EXPECTED.fullmatch(name) is not None)
        manifest = Manifest.from_strings(json.loads(members[f"extra/{_ENTRY}"]), str(path))
        if members[_SAMPLES]:
            raise ArtifactError(f"{path} holds a pickle ({_SAMPLES}), which could run anything; it was not opened")
        configs = {kind: members[f"data/{kind}/model_{kind}_config.json"] for kind in ("weights", "constants")}
        module = build_module(members["models/model.json"], lambda kind, name: members[f"data/{kind}/{name}"], configs)
        check_sizes(module, manifest.preprocessing.channels, manifest.preprocessing.size)
    except (ArtifactError, OSError):
        raise
    except ConvlensError as error:
        raise ArtifactError(str(error)) from None
    except Exception as error:  # whatever is wrong with JSON that was written to deceive
        raise ArtifactError(f"{path} is refused or damaged ({_line(error)}); export it again") from None
    return module, manifest


def engine(model: Any, _manifest: Manifest, _runtime: str, threads: int) -> Engine:
    """Make it compute on PyTorch."""
    return TorchEngine(_module(model), threads)


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
        values = record_values(_module(model), torch.from_numpy(np.ascontiguousarray(x)))
        return {name: value for name, value in values.items() if name in set(names)}

    return probe


def _module(model: Any) -> "nn.Module":
    """What `read` gives is a module, what `translate` gives has one."""
    module: nn.Module = model if hasattr(model, "graph") and hasattr(model, "forward") else model.module()
    return module


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
