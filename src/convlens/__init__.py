"""Convlens sees through convolutional networks.

Everything on the surface is imported when it is first used, so `import convlens` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convlens.errors import ConvlensError as ConvlensError
    from convlens.networks import create as create

__version__ = "0.1.0"

# name -> the module that defines it
_SURFACE = {
    "ConvlensError": "convlens.errors",
    "create": "convlens.networks",
}

# sub-packages that `import convlens` gives access to
_ROOMS = frozenset(
    {
        "anatomy",
        "arithmetic",
        "data",
        "errors",
        "evaluation",
        "explaining",
        "explorer",
        "files",
        "graph",
        "images",
        "networks",
        "runs",
        "serving",
        "shipping",
        "training",
    }
)

__all__ = ["ConvlensError", "__version__", "create"]


def __getattr__(name: str) -> Any:
    if name in _SURFACE:
        return getattr(import_module(_SURFACE[name]), name)
    if name in _ROOMS:
        return import_module(f"convlens.{name}")
    raise AttributeError(f"module 'convlens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SURFACE, *_ROOMS})
