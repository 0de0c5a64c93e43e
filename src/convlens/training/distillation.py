"""Knowledge distillation: another run's network says how likely it thinks each class (Hinton et al. 2015)."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convlens.classifiers import resolve
from convlens.errors import ConvlensError
from convlens.images import GRAY_WEIGHTS, Preprocessing


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained network that sees the student's augmented images, normalised and resized as it is used to.

    Args:
        network: in evaluation mode.
        order: for each of the student's classes, where it stands in the network's output.
        theirs: preprocessing that the network was trained with.
        ours: preprocessing of the student's images.
    """

    network: nn.Module
    order: Tensor
    theirs: Preprocessing
    ours: Preprocessing

    @torch.no_grad()
    def scores(self, x_NCHW: Tensor) -> Tensor:
        """Scores (N, K) of the student's images, in the order of the student's classes."""
        x = x_NCHW * _column(self.ours.std, x_NCHW) + _column(self.ours.mean, x_NCHW)
        if self.theirs.channels != self.ours.channels:
            gray = _column(GRAY_WEIGHTS, x)
            x = x.expand(-1, 3, -1, -1) if self.theirs.channels == 3 else (x * gray).sum(dim=1, keepdim=True)
        if self.theirs.size != self.ours.size:
            x = F.interpolate(x, self.theirs.size, mode="bilinear", antialias=True)
        scores: Tensor = self.network((x - _column(self.theirs.mean, x)) / _column(self.theirs.std, x))
        return scores.float()[:, self.order.to(scores.device)]


def load_teacher(path: str | Path, classes: tuple[str, ...], ours: Preprocessing, device: torch.device) -> Teacher:
    """Open a run, or a network with installed weights, as a teacher; its classes are matched by name.

    Raises:
        ConvlensError: if the run is not whole, or does not know all classes.
    """
    found = resolve(path, trained=True)
    lacking = [label for label in classes if label not in found.classes]
    if lacking:
        raise ConvlensError(
            f"the teacher {path} does not know {', '.join(lacking[:5])}; give a run that was trained on these classes"
        )
    network = found.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Teacher(
        network=network.requires_grad_(False),
        order=torch.tensor([found.classes.index(label) for label in classes]),
        theirs=found.preprocessing,
        ours=ours,
    )


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The divergence of the softened probabilities, summed over the batch; its gradient keeps its scale (section 2)."""
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="sum",
        log_target=True,
    )
    return divergence * temperature**2


def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(1, -1, 1, 1)
