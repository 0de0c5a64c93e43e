"""Why a network answers as it does: class activation, occlusion, integrated gradients."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convlens.explaining.explained_files import ExplainedFile, explain_files
from convlens.explaining.explainer import Explainer
from convlens.explaining.explanation import METHODS, Explanation
from convlens.explaining.heat_pictures import as_seen, enlarged, overlay, sheet
from convlens.explaining.occlusion import explain_by_occlusion

if TYPE_CHECKING:
    from convlens.explaining.explained_networks import explain as explain
    from convlens.explaining.target import ExplainingError as ExplainingError
    from convlens.explaining.target import target_tensor as target_tensor

# imported when first used, so that answers can be explained without torch, by covering
_WITH_TORCH = {"ExplainingError": "target", "explain": "explained_networks", "target_tensor": "target"}

__all__ = [
    "METHODS",
    "ExplainedFile",
    "Explainer",
    "ExplainingError",
    "Explanation",
    "as_seen",
    "enlarged",
    "explain",
    "explain_by_occlusion",
    "explain_files",
    "overlay",
    "sheet",
    "target_tensor",
]


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(import_module(f"convlens.explaining.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'convlens.explaining' has no attribute {name!r}")
