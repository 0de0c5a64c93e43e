"""Two small networks learn digits that never move, and then read them moved: what a fully connected one cannot know.

    python -m convlens.explorer.shifting --epochs 15

prints a line of JSON an epoch, `{"progress": 0.1}`, and at the end what was measured. Scikit-learn's digits are 8×8;
here each lies in the middle of 16×16 black pixels, so that a pixel of the shift is one of the image's own.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from convlens.data import open_dataset

MARGIN = 4  # black pixels on each side: the largest shift
SHIFTS = tuple(range(MARGIN + 1))
BATCH = 32


def fully_connected() -> nn.Module:
    """Two layers; every weight belongs to a place."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16 * 16, 64), nn.ReLU(), nn.Linear(64, 10))


def convolutional() -> nn.Module:
    """Three convolutions that never skip a place, and the largest value of each map wherever it is."""
    layers: list[nn.Module] = []
    for channels, width in ((1, 16), (16, 24), (24, 32)):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"dense": fully_connected, "convolution": convolutional}


def measure(epochs: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Train both, equally long, on digits that never moved; yield how far it is, then the result.

    Yields:
        `{"progress": 0..1}` after each epoch; last `{"epochs", "networks": [{"name", "parameters", "at_shifts"}]}`,
        with the accuracy on test digits at each shift, the mean over left, right, up and down.
    """
    torch.manual_seed(seed)
    x, y = _digits("train")
    x_test, y_test = _digits("test")
    networks = {name: make() for name, make in NETWORKS.items()}
    total = epochs * len(networks)
    done = 0
    for network in networks.values():
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
        for _ in range(epochs):
            _epoch(network, optimizer, x, y)
            done += 1
            yield {"progress": done / total}
    found = [
        {
            "name": name,
            "parameters": sum(each.numel() for each in network.parameters()),
            "at_shifts": [_accuracy(network, x_test, y_test, shift) for shift in SHIFTS],
        }
        for name, network in networks.items()
    ]
    yield {"epochs": epochs, "networks": found}


def _digits(split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 16, 16) of 0..1 and labels; the source draws each of the 8×8 pixels larger."""
    dataset = open_dataset("digits")
    images = np.stack([dataset.read(record, channels=1)[:, :, 0] for record in dataset.records(split)])
    factor = images.shape[1] // 8
    middle = images[:, factor // 2 :: factor, factor // 2 :: factor]
    x = torch.from_numpy(middle.astype(np.float32) / 255)[:, None]
    return pad(x, (MARGIN,) * 4), torch.tensor(np.asarray(dataset.labels(split)))


def _epoch(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    network.train()
    for batch in torch.split(torch.randperm(len(x)), BATCH):
        loss = cross_entropy(network(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _accuracy(network: nn.Module, x: Tensor, y: Tensor, shift: int) -> float:
    """The margin is as wide as the largest shift, so nothing of a digit leaves the image."""
    network.eval()
    ways = ((shift, 0), (-shift, 0), (0, shift), (0, -shift))
    with torch.inference_mode():
        right = [network(x.roll(way, (2, 3))).argmax(1).eq(y).float().mean() for way in ways]
    return float(torch.stack(right).mean())


def main() -> None:
    """Print progress and result as lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)  # layers this small gain nothing from more
    for line in measure(asked.epochs):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
