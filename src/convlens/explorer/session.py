"""What one start of the explorer works on: the images, and the run or network it was opened with."""

from dataclasses import dataclass, field

from convlens.explorer.shelf import ImageShelf


@dataclass(frozen=True, kw_only=True)
class Session:
    """Everything that the API reads, made once when the explorer starts.

    Attributes:
        images: the bundled pictures and what was uploaded.
        subject: the network's name or the run's path that the command was given; None for neither.
    """

    images: ImageShelf = field(default_factory=ImageShelf)
    subject: str | None = None
