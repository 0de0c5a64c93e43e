"""A network on every runtime in every precision, as files, to be measured against each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError, unknown_name
from convlens.shipping.formats import FORMATS
from convlens.shipping.loading import load_artifact
from convlens.shipping.manifest import Precision
from convlens.shipping.predictor import Predictor
from convlens.shipping.runtimes import RUNTIMES, require
from convlens.shipping.subject import Subject

# runtime -> the format that brings a network to it; PyTorch runs the network as it is, from its weights
_FORMAT_FOR = {"torch": "safetensors", "onnxruntime": "onnx", "openvino": "openvino"}
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A network on one runtime in one precision.

    Args:
        network: its name.
        predictor: that runs it.
        path: the file that it was loaded from.
        file_bytes: of all its files.
        source: what it was made from, for anatomy: the arguments of `networks.create`.
    """

    network: str
    predictor: Predictor
    path: Path
    file_bytes: int
    source: dict[str, Any]

    @property
    def name(self) -> str:
        """Network, runtime and precision."""
        return f"{self.network} {self.predictor.runtime} {self.predictor.precision}"


def choose_runtimes(names: Sequence[str]) -> tuple[str, ...]:
    """The runtimes of these names; `all` is every one that is installed.

    Raises:
        UnknownNameError: no runtime is called that.
        RuntimeMissingError: one is not installed.
    """
    if list(names) == ["all"]:
        return tuple(name for name, runtime in RUNTIMES.items() if runtime.installed)
    return tuple(require(name).name for name in names)


def choose_precisions(names: Sequence[str]) -> tuple[Precision, ...]:
    """The precisions of these names; `all` is every one.

    Raises:
        UnknownNameError: no precision is called that.
    """
    if list(names) == ["all"]:
        return PRECISIONS
    for name in names:
        if name not in PRECISIONS:
            raise unknown_name("precision", name, [*PRECISIONS, "all"])
    return tuple(precision for precision in PRECISIONS if precision in names)


def make_variants(
    subject: Subject,
    runtimes: Sequence[str],
    precisions: Sequence[Precision],
    calibration_NCHW: NDArray[np.float32],
    folder: Path,
    threads: int,
    note: Callable[[str], None],
) -> list[Variant]:
    """Write a network in every wanted form below `folder`, and load each.

    Args:
        subject: the network.
        runtimes: by name.
        precisions: those that a runtime does not have are left out.
        calibration_NCHW: preprocessed images that decide the ranges of int8.
        folder: for the files.
        threads: that one call may use.
        note: told which could not be made, and why.
    """
    made: list[Variant] = []
    for runtime in runtimes:
        row = FORMATS[_FORMAT_FOR[runtime]]
        module = row.open()
        plain: Any = None
        for precision in (precision for precision in PRECISIONS if precision in row.precisions):
            if precision != "float32" and precision not in precisions:
                continue
            try:
                if precision == "int8":
                    from convlens.shipping.quantising import quantise_for_speed

                    model = quantise_for_speed(plain, calibration_NCHW)
                else:
                    model = module.translate(subject.network, subject.preprocessing, precision)
                    plain = plain or model
                if precision not in precisions:
                    continue
                path = folder / f"{subject.name}-{runtime}-{precision}{row.suffixes[0]}"
                module.save(model, path, subject.manifest(precision))
                made.append(load_variant(subject.name, path, runtime, threads))
            except ConvlensError as error:
                note(f"{subject.name} {runtime} {precision}: {error}")
    return made


def load_variant(name: str, path: Path, runtime: str, threads: int) -> Variant:
    """Load an artifact as a variant."""
    predictor = load_artifact(path, runtime=runtime, threads=threads)
    row = next(row for row in FORMATS.values() if row.suffixes[0] == path.suffix)
    _, manifest = row.open().read(path)
    return Variant(
        network=name,
        predictor=predictor,
        path=path,
        file_bytes=sum(path.with_suffix(suffix).stat().st_size for suffix in row.suffixes),
        source=dict(manifest.network),
    )
