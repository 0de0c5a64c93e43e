"""Why a network answers as it does: class activation, occlusion, integrated gradients."""

from convlens.explaining.explained_files import ExplainedFile, explain_files
from convlens.explaining.explanation import METHODS, Explanation, explain, explain_by_occlusion
from convlens.explaining.pictures import as_seen, overlay, sheet
from convlens.explaining.target import ExplainingError, target_tensor

__all__ = [
    "METHODS",
    "ExplainedFile",
    "ExplainingError",
    "Explanation",
    "as_seen",
    "explain",
    "explain_by_occlusion",
    "explain_files",
    "overlay",
    "sheet",
    "target_tensor",
]
