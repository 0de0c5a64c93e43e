"""The formats of artifacts, as a table: name, files, precisions, runtimes, and the module that reads and writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from convlens.artifacts.manifest import ArtifactError, Manifest
from convlens.errors import ConvlensError, unknown_name
from convlens.images import Preprocessing
from convlens.predicting.engines import Precision
from convlens.predicting.runtimes import require_package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from convlens.artifacts.probes import Probe
    from convlens.predicting.engines import Engine


class FormatModule(Protocol):
    """What a format's module has; `model` is whatever the format keeps a network in."""

    def translate(
        self,
        network: "nn.Module",
        preprocessing: Preprocessing,
        precision: Precision,
        /,
        *calibration: "NDArray[np.float32]",
    ) -> Any:
        """Turn a network into the format's model, in memory.

        A format that calibrates by itself takes preprocessed images (N, C, H, W) behind the precision int8.
        """

    def save(self, model: Any, path: Path, manifest: Manifest, /) -> None:
        """Write the model with its manifest, preprocessing inside if the manifest says so."""

    def read(self, path: Path, /) -> tuple[Any, Manifest]:
        """Read what `save` wrote; the model begins at the preprocessed image."""

    def engine(self, model: Any, manifest: Manifest, runtime: str, threads: int, /) -> "Engine":
        """Make it compute."""

    def can_attach(self, preprocessing: Preprocessing, /) -> bool:
        """Whether the file can begin at the decoded image."""

    def whole_probe(self, path: Path, /) -> "Probe":
        """From decoded images (N, H, W, C) to the preprocessed images and the probabilities, both by name."""

    def operations_probe(self, model: Any, names: Sequence[str], precision: Precision, /) -> "Probe":
        """From preprocessed images to the named tensors inside."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way to ship a network.

    Args:
        name: as the command line takes it.
        suffixes: of the files that it consists of; the first is the one that people name.
        packages: that must be installed to read it; what runs it is the runtime's affair.
        writing: packages that must be installed to write it, too.
        precisions: that it can be written in.
        runtimes: that can run it, its own first.
        module: that reads and writes it.
        calibrates: whether its `translate` makes int8 by itself, from images; NNCF does it for the others.
        weights_only: whether it holds no graph, so that the catalogue has to build the network again.
    """

    name: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    writing: tuple[str, ...]
    precisions: tuple[Precision, ...]
    runtimes: tuple[str, ...]
    module: str
    calibrates: bool = False
    weights_only: bool = False

    def open(self, *, writing: bool = False) -> FormatModule:
        """Import what reads and writes it.

        Args:
            writing: whether it will be written, which may need more.

        Raises:
            RuntimeMissingError: a package is missing.
        """
        for package in (*self.packages, *(self.writing if writing else ())):
            require_package(package, f"the format {self.name!r}")
        return cast(FormatModule, import_module(self.module))

    def check_precision(self, precision: str) -> Precision:
        """Stop unless the format can be written in this precision.

        Raises:
            ConvlensError: with the ones that it can be written in.
        """
        known = ("float32", "bfloat16", "int8")
        if precision not in known:
            raise unknown_name("precision", precision, [*known, "auto"])
        if precision not in self.precisions:
            able = [other.name for other in FORMATS.values() if precision in other.precisions]
            raise ConvlensError(
                f"{self.name} cannot hold {precision} for processors, only {', '.join(self.precisions)}; "
                f"formats that can: {', '.join(able)}"
            )
        return precision


FORMATS = {
    row.name: row
    for row in (
        Format(
            name="onnx",
            suffixes=(".onnx",),
            packages=("onnx",),
            writing=("onnxscript", "onnxruntime"),
            precisions=("float32", "int8"),  # ONNX Runtime's CPU kernels for convolution know no bfloat16
            runtimes=("onnxruntime", "openvino"),
            module="convlens.artifacts.format_onnx",
        ),
        Format(
            name="openvino",
            suffixes=(".xml", ".bin"),
            packages=("openvino",),
            writing=("onnx", "onnxscript"),
            precisions=("float32", "bfloat16", "int8"),
            runtimes=("openvino",),
            module="convlens.artifacts.format_openvino",
        ),
        Format(
            name="torch",
            suffixes=(".pt2",),
            packages=("torch",),
            writing=(),
            precisions=("float32", "bfloat16"),
            runtimes=("torch",),
            module="convlens.artifacts.format_torch",
        ),
        Format(
            name="safetensors",
            suffixes=(".safetensors",),
            packages=("torch", "safetensors"),
            writing=(),
            precisions=("float32", "bfloat16"),
            runtimes=("torch",),
            module="convlens.artifacts.format_safetensors",
            weights_only=True,
        ),
        Format(
            name="plan",
            suffixes=(".plan",),
            packages=("convlens_kernels",),
            writing=("torch",),
            precisions=("float32", "bfloat16", "int8"),
            runtimes=("engine",),
            module="convlens.artifacts.format_plan",
            calibrates=True,
        ),
    )
}


def find_format(name: str) -> Format:
    """Find a format by name.

    Raises:
        UnknownNameError: no format is called that.
    """
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """Find a file's format by its suffix.

    Raises:
        ArtifactError: the file is missing, or no artifact has this suffix.
    """
    named = {row.suffixes[0]: row for row in FORMATS.values()}
    if path.suffix == ".bin" and path.with_suffix(".xml").exists():
        raise ArtifactError(f"{path} holds only the weights of an OpenVINO model; give {path.with_suffix('.xml')}")
    if path.suffix in (".pt", ".pth"):
        raise ArtifactError(
            f"{path} is a checkpoint, which knows neither its classes nor its preprocessing; "
            f"make an artifact: convlens export NETWORK --weights {path.name} --classes names.txt --to onnx"
        )
    if path.suffix not in named:
        raise ArtifactError(f"{path} is neither a run nor an artifact ({', '.join(named)}); give one of them")
    if not path.is_file():
        raise ArtifactError(f"no such file: {path}; give a run folder or an artifact ({', '.join(named)})")
    return named[path.suffix]
