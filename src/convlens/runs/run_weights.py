"""Weights of a run: written whole, read only if they are whole and fit the network."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from convlens import files
from convlens.networks.outline import outlined
from convlens.runs.description import RunError
from convlens.untrusted.tensors import read_sealed, read_shapes, write_sealed
from convlens.untrusted.untrusted_bytes import UntrustedFileError

if TYPE_CHECKING:
    from convlens.runs.run_folder import RunFolder


def save_weights(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Write the tensors of `state` to a safetensors file that carries its digest, whole or not at all."""
    files.write_bytes(path, write_sealed(state, {}))  # by us, so that a full disk is an OSError like any other


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a safetensors file into `network`.

    Raises:
        RunError: if the file is missing, truncated or changed, or holds other tensors than the network has.
    """
    _check_there(path)
    try:
        tensors = read_sealed(path)
    except UntrustedFileError as error:
        raise RunError(str(error)) from None
    _check_shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()}, network, path)
    network.load_state_dict(tensors)


def check_weights(folder: "RunFolder") -> None:
    """Check, without reading them, that the best and the last weights are whole and are those of the run's network."""
    with outlined():
        network = folder.build_network()
    for which in ("best", "last"):
        path = folder.weights_path(which)
        _check_shapes(_shapes(path), network, path)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    _check_there(path)
    try:
        return read_shapes(path)
    except (UntrustedFileError, OSError) as error:
        raise RunError(str(error)) from None


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise RunError(f"the run has no {path}; copy the run folder again, or finish it with convlens train --resume")


def _check_shapes(found: Mapping[str, tuple[int, ...]], network: nn.Module, path: Path) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise RunError(
                f"{path} does not match the run's network: {name} is {_shape(found.get(name))} in the file and "
                f"{_shape(wanted.get(name))} in the network; copy the weights that belong to this run"
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "missing"
    return "×".join(map(str, shape)) or "a single number"
