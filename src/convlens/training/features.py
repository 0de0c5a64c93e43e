"""What the body of a network makes of images: the inputs of its last layer, computed once and kept.

N: images, D: features, K: classes.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convlens.data import Batch, Loader
from convlens.data.store import entry_key
from convlens.data.store_folders import LockedStore
from convlens.training.speed.numerics import Chosen, has_bfloat16, uncompiled
from convlens.training.speed.speed_search import CLEARLY_FASTER

_TIMED = 3  # passes of each precision, of which the fastest counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """A network up to its last layer, which is linear.

    Attributes:
        network: the whole network.
        head: its last layer.
        name: of that layer.
        precision: what the body is computed in; features are float32 in any case.
    """

    network: nn.Module
    head: nn.Linear
    name: str
    precision: Chosen = "float32"

    @classmethod
    def of(cls, network: nn.Module, heads: Sequence[str]) -> "Body | None":
        """The body of a network with a single linear layer at its end; None for any other network.

        Args:
            network: what is trained.
            heads: names of the modules that give one output a class, the last layer first.
        """
        present = dict(network.named_modules())
        found = [name for name in heads if name in present]
        if len(found) != 1:
            return None
        head = present[found[0]]
        return cls(network=network, head=head, name=found[0]) if isinstance(head, nn.Linear) else None

    def features(self, x_NCHW: Tensor) -> Tensor:
        """The inputs of the last layer, float32 (N, D), in evaluation mode: no dropout, norms with their statistics."""
        seen: list[Tensor] = []

        def look(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.append(inputs[0])

        hook = self.head.register_forward_pre_hook(look)
        half = self.precision == "bfloat16"
        try:
            autocast = torch.autocast(x_NCHW.device.type, torch.bfloat16, enabled=half)
            with evaluating(self.network), uncompiled(self.network), torch.no_grad(), autocast:
                self.network(x_NCHW)
        finally:
            hook.remove()
        return seen[0].float()

    def fastest(self, x_NCHW: Tensor) -> "Body":
        """The same body in the precision that is clearly faster for a batch on its device, by timing."""
        if not has_bfloat16(x_NCHW.device):
            return self
        seconds = {}
        for precision in ("float32", "bfloat16"):
            body = replace(self, precision=precision)
            seconds[precision] = min(_seconds(body, x_NCHW) for _ in range(_TIMED))
        clearly = seconds["bfloat16"] * CLEARLY_FASTER < seconds["float32"]
        return replace(self, precision="bfloat16" if clearly else "float32")

    def digest(self) -> str:
        """What identifies the body's weights, and how it is computed."""
        own = {id(tensor) for tensor in self.head.parameters()}
        found = hashlib.sha256(f"{type(self.network).__qualname__} {self.precision} torch {torch.__version__}".encode())
        for name, tensor in self.network.state_dict(keep_vars=True).items():
            if id(tensor) not in own:
                found.update(name.encode())
                found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()[:32]


class Features:
    """The features of a loader's images, epoch by epoch, each computed once and then held in memory.

    Those of images as they are, without augmentation, are also in the store, where the next training finds them.

    Args:
        body: computes them.
        loader: gives the images; what it mixes of two images has no features of its own and is refused.
        views: so many epochs of the loader are computed; later epochs see these again, in turns.
    """

    def __init__(self, body: Body, loader: Loader, *, views: int = 1) -> None:
        assert loader.augmentation is None or not loader.augmentation.mixes, "mixed images have no features to keep"
        self.body, self.loader, self.views = body, loader, views
        self._kept: dict[int, list[Batch]] = {}

    def epoch(self, epoch: int, *, start_step: int = 0, device: torch.device) -> Iterator[Batch]:
        """Yield the batches of an epoch as the loader does, with features (N, D) in the place of images."""
        view = epoch % self.views
        if view not in self._kept:
            plain = self.loader.augmentation is None
            self._kept[view] = list(self._stored(device) if plain else self._computed(view, device))
        yield from self._kept[view][start_step:]

    def whole(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The features (N, D) of all images of an epoch, and their labels (N,)."""
        batches = list(self.epoch(0, device=device))
        return torch.cat([batch.images for batch in batches]), torch.cat([batch.labels for batch in batches])

    def _computed(self, view: int, device: torch.device) -> Iterator[Batch]:
        for batch in self.loader.epoch(view, device=device):
            yield replace(batch, images=self.body.features(batch.images))

    def _stored(self, device: torch.device) -> Iterator[Batch]:
        """The batches of images as they are: all of them from the store, or all of them computed."""
        loader = self.loader
        settings = {
            "features of": self.body.digest(),
            "preprocessing": repr(loader.preprocessing),
            "location": loader.dataset.location,
        }
        with LockedStore(settings) as store:
            keys = [entry_key(record) for record in loader.records]
            kept = [store.get(key) for key in keys]
            rows = [_as_row(image) for image in kept if image is not None]
            if len(rows) < len(keys):
                for batch in self._computed(0, device):
                    for index, row in zip(batch.indices.tolist(), batch.images.cpu().numpy(), strict=True):
                        store.put(keys[index], _as_image(row))
                    yield batch
                return
        labels = torch.from_numpy(loader.labels)
        for step in range(loader.steps):
            chosen = torch.arange(len(rows))[step * loader.batch_size :][: loader.batch_size]
            found = torch.from_numpy(np.stack([rows[index] for index in chosen.tolist()]))
            yield Batch(step=step, images=found.to(device), labels=labels[chosen].to(device), indices=chosen)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Hold every module in evaluation mode for a while, and give each its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _seconds(body: Body, x_NCHW: Tensor) -> float:
    started = time.perf_counter()
    body.features(x_NCHW)
    if x_NCHW.is_cuda:
        torch.cuda.synchronize(x_NCHW.device)
    return time.perf_counter() - started


def _as_image(row_D: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Features as the store of images takes them: their bytes, (1, 4 D, 1)."""
    return np.ascontiguousarray(row_D, np.float32).view(np.uint8).reshape(1, -1, 1)


def _as_row(image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image_HWC).reshape(-1).view(np.float32)
