"""safetensors: the weights alone, with a manifest from which the network is built again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.artifacts.manifest import PREFIX, ArtifactError, Manifest
from convlens.artifacts.probes import Probe
from convlens.artifacts.sealed import read_sealed
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, Precision, TorchEngine
from convlens.untrusted.sealing import NAME
from convlens.untrusted.tensors import load_tensors, read_texts, write_sealed
from convlens.untrusted.untrusted_bytes import UntrustedFileError

if TYPE_CHECKING:
    from torch import nn


def translate(network: "nn.Module", _preprocessing: Preprocessing, precision: Precision) -> Any:
    """Take a network's weights and buffers as they are, batch norm unfolded, in the precision asked for."""
    import torch

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return {
        name: (tensor.detach().cpu().to(dtype) if tensor.is_floating_point() else tensor.detach().cpu())
        .contiguous()
        .clone()
        for name, tensor in network.state_dict().items()
    }


def save(model: Any, path: Path, manifest: Manifest) -> None:
    """Write the weights with the manifest as metadata."""
    path.write_bytes(write_sealed(model, manifest.to_strings(), f"{PREFIX}{NAME}"))


def read(path: Path) -> tuple[Any, Manifest]:
    """Read what `save` wrote."""
    content = read_sealed(path)
    try:
        manifest = Manifest.from_strings(read_texts(content, path), str(path))
        return load_tensors(content, path), manifest
    except UntrustedFileError as error:
        raise ArtifactError(str(error)) from None


def build(model: Any, manifest: Manifest) -> "nn.Module":
    """Build the network again and give it the weights, float32, in evaluation mode.

    Raises:
        ArtifactError: the weights do not fit.
    """
    from convlens import networks

    choice = dict(manifest.network)
    network = networks.create(str(choice.pop("name")), **choice | {"size": tuple(choice["size"])})
    try:
        network.load_state_dict(model)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ArtifactError(f"the weights do not fit {manifest.network['name']} ({reason}); export again") from None
    return network.eval()


def engine(model: Any, manifest: Manifest, _runtime: str, threads: int) -> Engine:
    """Make the network compute on PyTorch."""
    import torch

    from convlens.predicting.probabilities import Probabilities

    dtype = torch.bfloat16 if manifest.precision == "bfloat16" else torch.float32
    module = Probabilities(build(model, manifest), dtype)
    return TorchEngine(module.to(memory_format=torch.channels_last), threads)  # type: ignore[call-overload]


def can_attach(_preprocessing: Preprocessing) -> bool:
    """Never: there is no graph to attach it to."""
    return False


def whole_probe(_path: Path) -> Probe:
    """There is none."""
    raise NotImplementedError


def operations_probe(_model: Any, _names: Sequence[str], _precision: Precision) -> Probe:
    """There are no operations in a file of weights."""
    return lambda _: {}
