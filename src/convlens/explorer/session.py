"""What one start of the explorer works on: the pictures, and the run or network it was opened with."""

from dataclasses import dataclass, field
from functools import cached_property

from convlens.choosing.frontier import Frontier
from convlens.classifiers import Classifier
from convlens.explorer.inside import Clinic
from convlens.explorer.lecture import Lecture
from convlens.explorer.shelf import ImageShelf
from convlens.explorer.subjects import Subjects


@dataclass(frozen=True, kw_only=True)
class Session:
    """Everything that the API reads, made once when the explorer starts.

    Attributes:
        images: the bundled pictures and what was uploaded.
        subjects: the networks that can be looked at.
        network: the name of the network that pages show first; None for their own choice.
        opened: the run, artifact, weights or code that the command was given.
        lecture: the user's own; None for ours.
        study: what a study found, for the page of accuracies.
    """

    images: ImageShelf = field(default_factory=ImageShelf)
    subjects: Subjects = field(default_factory=Subjects)
    network: str | None = None
    opened: Classifier | None = None
    lecture: Lecture | None = None
    study: Frontier | None = None

    @cached_property
    def clinic(self) -> Clinic:
        """The networks with weights, at work on pictures; made when a page first looks inside one."""
        return Clinic(self.images, self.opened)
