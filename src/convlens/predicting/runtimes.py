"""The runtimes that a network may run on, and whether each is installed."""

from dataclasses import dataclass
from importlib.util import find_spec

from convlens.errors import ConvlensError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A library that runs networks.

    Args:
        name: as the command line takes it.
        title: as people call it.
        package: the module to import.
        install: what brings it.
    """

    name: str
    title: str
    package: str
    install: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported here."""
        return find_spec(self.package) is not None


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime(name="torch", title="PyTorch", package="torch", install="pip install torch"),
        Runtime(
            name="onnxruntime", title="ONNX Runtime", package="onnxruntime", install="pip install 'convlens[ship]'"
        ),
        Runtime(name="openvino", title="OpenVINO", package="openvino", install="pip install 'convlens[ship]'"),
        Runtime(
            name="engine",
            title="the engine",
            package="convlens_kernels",
            install="pip install ./native in Convlens' sources, which needs a C++ compiler",
        ),
    )
}


class RuntimeMissingError(ConvlensError):
    """A runtime that is not installed; the message says what installs it."""


def require(name: str) -> Runtime:
    """Find a runtime by name.

    Raises:
        UnknownNameError: no runtime is called that.
        RuntimeMissingError: it is not installed.

    >>> require("torch").title
    'PyTorch'
    """
    if name not in RUNTIMES:
        raise unknown_name("runtime", name, [*RUNTIMES, "auto"])
    runtime = RUNTIMES[name]
    if not runtime.installed:
        raise RuntimeMissingError(f"the runtime {name!r} is not installed; {runtime.install}")
    return runtime


def require_package(package: str, what_for: str) -> None:
    """Stop unless an optional package is there.

    Raises:
        RuntimeMissingError: naming the package, what needs it and what installs it.
    """
    if find_spec(package) is None:
        raise RuntimeMissingError(f"{what_for} needs the package {package!r}; pip install 'convlens[ship]'")
