"""Versions of the packages that shipping depends on."""

from importlib.metadata import PackageNotFoundError, version

from convlens import __version__

_PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "convlens-kernels", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Versions of Convlens and of what reads, writes and runs artifacts, as far as installed."""
    found = {"convlens": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
