"""A network that is ready to answer, whatever computes it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlens.errors import ConvlensError
from convlens.images import Preprocessing
from convlens.predicting.engines import Engine, TorchEngine
from convlens.predicting.predictions import FilePrediction, predict
from convlens.processors import default_threads

if TYPE_CHECKING:
    from torch import nn


class Predictor:
    """A network with its classes and its preprocessing, on one runtime. Made by `convlens.load`.

    Attributes:
        source: the run or artifact that it was loaded from.
        runtime: what computes: `"torch"`, `"onnxruntime"`, `"openvino"`, `"engine"`.
        precision: of the arithmetic.
        threads: that one call uses.
        facts: what else is known: network, run, licence of the weights, proof.
    """

    def __init__(
        self,
        engine: Engine,
        classes: Sequence[str],
        preprocessing: Preprocessing,
        *,
        source: str,
        runtime: str,
        precision: str,
        threads: int,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.engine = engine
        self.classes = tuple(classes)
        self.preprocessing = preprocessing
        self.source = source
        self.runtime = runtime
        self.precision = precision
        self.threads = threads
        self.facts = facts or {}

    def __repr__(self) -> str:
        return (
            f"<Predictor {self.source!r}: {len(self.classes)} classes, {self.runtime}, {self.precision}, "
            f"{self.threads} thread(s)>"
        )

    def probabilities(self, x_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (N, K) of preprocessed images (N, C, H, W); each row sums to 1.

        Raises:
            ConvlensError: the images have another shape than the network takes.
        """
        expected = (self.preprocessing.channels, *self.preprocessing.size)
        if x_NCHW.ndim != 4 or x_NCHW.shape[1:] != expected:
            raise ConvlensError(
                f"the network takes preprocessed images of shape (N, {', '.join(map(str, expected))}), "
                f"not {x_NCHW.shape}; use preprocessing.apply on each image"
            )
        if len(x_NCHW) == 0:
            return np.zeros((0, len(self.classes)), np.float32)
        return self.engine(x_NCHW.astype(np.float32, copy=False))

    def predict(self, images: Any, *, top: int = 5, batch: int = 32) -> list[FilePrediction]:
        """Answer for images in memory, on disk or behind addresses; see `convlens.predicting.predict`."""
        return predict(self, images, top=top, batch=batch)

    def warm_up(self, batch: int = 1, times: int = 2) -> None:
        """Run on empty images, so that the first answer is as fast as the others."""
        x = np.zeros((batch, self.preprocessing.channels, *self.preprocessing.size), np.float32)
        for _ in range(times):
            self.engine(x)

    def info(self) -> dict[str, Any]:
        """What is known about it, as plain values."""
        return {
            "source": self.source,
            "runtime": self.runtime,
            "precision": self.precision,
            "threads": self.threads,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_dict(),
            **self.facts,
        }


def torch_predictor(
    network: "nn.Module",
    classes: Sequence[str],
    preprocessing: Preprocessing,
    *,
    device: str = "auto",
    threads: int | None = None,
    source: str = "a network",
    facts: dict[str, Any] | None = None,
) -> Predictor:
    """A network on PyTorch in float32; it is moved to the device, and its weights are laid out for speed there.

    Args:
        network: any module from (N, C, H, W) to (N, K) scores, larger meaning likelier.
        classes: the K class names.
        preprocessing: from an image to the network's input.
        device: where to run, such as `"cpu"` or `"cuda"`; `"auto"` takes a GPU if there is one.
        threads: that one call may use; None takes PyTorch's setting, at most the processors that the container has.
        source: what the network was loaded from.
        facts: what else is known about it.

    Raises:
        ConvlensError: this machine has no such device.
    """
    import torch

    from convlens.predicting.devices import choose_device
    from convlens.predicting.probabilities import Probabilities

    where = choose_device(device)
    module = Probabilities(network, torch.float32).eval()
    module = module.to(device=where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    count = threads or min(torch.get_num_threads(), default_threads())
    return Predictor(
        TorchEngine(module, count, where),
        classes,
        preprocessing,
        source=source,
        runtime="torch",
        precision="float32",
        threads=count,
        facts=facts,
    )
