"""Convlens sees through convolutional networks.

Everything on the surface is imported when it is first used, so `import convlens` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convlens.anatomy import Anatomy as Anatomy
    from convlens.anatomy import inspect as inspect
    from convlens.choosing.frontier import Frontier as Frontier
    from convlens.engine import compile as compile
    from convlens.errors import ConvlensError as ConvlensError
    from convlens.networks import activations as activations
    from convlens.networks import create as create
    from convlens.networks import fully_convolutional as fully_convolutional
    from convlens.surface import Run as Run
    from convlens.surface import frontier as frontier
    from convlens.surface import load as load
    from convlens.surface import open_run as open_run
    from convlens.surface import resume as resume
    from convlens.surface import train as train

__version__ = "0.1.0"

# name -> the module that defines it
_SURFACE = {
    "Anatomy": "convlens.anatomy",
    "ConvlensError": "convlens.errors",
    "Frontier": "convlens.choosing.frontier",
    "Run": "convlens.surface",
    "inspect": "convlens.anatomy",
    "activations": "convlens.networks",
    "compile": "convlens.engine",
    "create": "convlens.networks",
    "frontier": "convlens.surface",
    "fully_convolutional": "convlens.networks",
    "load": "convlens.surface",
    "open_run": "convlens.surface",
    "resume": "convlens.surface",
    "train": "convlens.surface",
}

# sub-packages that `import convlens` gives access to
_ROOMS = frozenset(
    {
        "anatomy",
        "arithmetic",
        "artifacts",
        "benchmarking",
        "calibrating",
        "choosing",
        "classifiers",
        "data",
        "engine",
        "errors",
        "evaluation",
        "explaining",
        "explorer",
        "files",
        "graph",
        "images",
        "lessons",
        "networks",
        "predicting",
        "runs",
        "serving",
        "shipping",
        "training",
    }
)

__all__ = [
    "Anatomy",
    "ConvlensError",
    "Frontier",
    "Run",
    "__version__",
    "activations",
    "compile",
    "create",
    "frontier",
    "fully_convolutional",
    "inspect",
    "load",
    "open_run",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _SURFACE:
        return getattr(import_module(_SURFACE[name]), name)
    if name in _ROOMS:
        return import_module(f"convlens.{name}")
    raise AttributeError(f"module 'convlens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SURFACE, *_ROOMS})
