"""Why a network answers as it does: class activation, occlusion, integrated gradients."""

from convlens.explaining.explained_files import ExplainedFile, explain_files
from convlens.explaining.explainer import Explainer
from convlens.explaining.explanation import METHODS, Explanation, explain, explain_by_occlusion
from convlens.explaining.heat_pictures import as_seen, enlarged, overlay, sheet
from convlens.explaining.target import ExplainingError, target_tensor

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
