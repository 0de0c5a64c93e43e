"""A plan of the engine: packed weights and steps in one file that needs neither PyTorch nor a runtime to run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens.artifacts.manifest import ArtifactError, Manifest
from convlens.artifacts.probes import Probe
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, KernelsEngine, Precision
from convlens.processors import default_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

_STRINGS = "convlens"  # where the metadata keeps the manifest


def translate(
    network: "nn.Module",
    preprocessing: Preprocessing,
    precision: Precision,
    calibration_NCHW: "NDArray[np.float32] | None" = None,
) -> Any:
    """Plan a network for this processor, kernels and tiles chosen by measuring.

    Args:
        network: in evaluation mode.
        preprocessing: says the size of its input.
        precision: of the arithmetic.
        calibration_NCHW: for int8, preprocessed images that decide the ranges.

    Raises:
        ConvlensError: the network does something that the engine has no kernel for.
    """
    from convlens.engine import compile

    size = (preprocessing.channels, *preprocessing.size)
    return compile(network, size, precision=precision, calibration=calibration_NCHW, threads=default_threads()).plan


def save(model: Any, path: Path, manifest: Manifest) -> None:
    """Write the plan with its manifest, and what the kernels' own predictor reads."""
    import convlens_kernels as kernels

    metadata = {
        "classes": list(manifest.classes),
        "preprocessing": manifest.preprocessing.to_dict(),
        "output": "logits",
        _STRINGS: manifest.to_strings(),
    }
    kernels.write_plan(path, model.description, model.constants, metadata)


def read(path: Path) -> tuple[Any, Manifest]:
    """Map what `save` wrote into memory; its checksum is verified before anything of it is used."""
    import convlens_kernels as kernels

    try:
        plan = kernels.read_plan(path)
        strings = plan.metadata.get(_STRINGS)
    except kernels.PlanError as error:
        raise ArtifactError(str(error)) from None
    if not isinstance(strings, dict) or not all(isinstance(text, str) for text in strings.values()):
        raise ArtifactError(f"{path} is a plan without a manifest of convlens; make one with convlens export --to plan")
    return plan, Manifest.from_strings(strings, str(path))


def engine(model: Any, _manifest: Manifest, _runtime: str, threads: int) -> Engine:
    """Make the plan compute.

    Raises:
        ArtifactError: it was made for another processor; the message says what to do.
    """
    import convlens_kernels as kernels

    try:
        return KernelsEngine(model.program(threads=threads))
    except kernels.PlanError as error:
        raise ArtifactError(str(error)) from None


def can_attach(_preprocessing: Preprocessing) -> bool:
    """Never: a program begins at the preprocessed image."""
    return False


def whole_probe(_path: Path) -> Probe:
    """There is none."""
    raise NotImplementedError


def operations_probe(_model: Any, _names: Sequence[str], _precision: Precision) -> Probe:
    """What lies between steps is in blocks and fused, and is not shown."""
    return lambda _: {}
