"""What evaluation needs of a network, whatever runs it, and the PyTorch way to run it."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convlens.errors import ConvlensError
from convlens.images import Preprocessing


class Predictor(Protocol):
    """Anything that turns preprocessed images into probabilities of named classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the columns of `probabilities`."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to what `probabilities` takes."""
        ...

    def probabilities(self, x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, K) of preprocessed images (N, C, H, W); each row sums to 1."""
        ...


class TorchPredictor:
    """A network on one device, in evaluation mode, float32.

    Args:
        network: any module from (N, C, H, W) to (N, K) scores, larger meaning likelier.
        classes: the K class names.
        preprocessing: from an image to the network's input.
        device: where to run, such as `"cpu"`, `"cuda"`; `"auto"` takes a GPU if there is one.
    """

    def __init__(
        self, network: nn.Module, classes: tuple[str, ...], preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.device = choose_device(device)
        self.network = network.eval().to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._classes = tuple(classes)
        self._preprocessing = preprocessing

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the columns of `probabilities`."""
        return self._classes

    @property
    def preprocessing(self) -> Preprocessing:
        """From an image to what `probabilities` takes."""
        return self._preprocessing

    @torch.inference_mode()
    def probabilities(self, x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, K) of preprocessed images (N, C, H, W)."""
        x = torch.from_numpy(np.ascontiguousarray(x_NCHW)).to(self.device)
        scores: torch.Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        answer: NDArray[np.float32] = torch.softmax(scores.float(), dim=1).cpu().numpy()
        return answer


def choose_device(device: str) -> torch.device:
    """The device that `device` names; `"auto"` is a CUDA GPU if there is one, else the processor.

    Raises:
        ConvlensError: if this machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError):
        raise ConvlensError(
            f"this machine has no device {device!r}; use auto, cpu, or cuda where there is a GPU"
        ) from None
    return chosen
