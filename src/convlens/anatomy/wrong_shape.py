"""A forward pass that failed: what the failing layer expected, what it got, and the line to change."""

from typing import TYPE_CHECKING

from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.anatomy.sheet import Anatomy


class WrongShapeError(ConvlensError):
    """The forward pass fails on this input; `anatomy` holds everything up to the failing operation."""

    def __init__(self, message: str, anatomy: "Anatomy") -> None:
        super().__init__(message)
        self.anatomy = anatomy


def explain_failure(sheet: "Anatomy") -> WrongShapeError:
    """Build the error for a sheet whose graph ends in a failure."""
    failure = sheet.graph.failure
    assert failure is not None
    place = f"{failure.module!r} ({sheet.graph.modules[failure.module]})" if failure.module else sheet.name
    text = " ".join(str(failure.error).split()) or type(failure.error).__name__
    return WrongShapeError(f"the forward pass fails in {place}: {text}", sheet)
