"""Occlusion of one image of 224 × 224: the processor time of a square, beside captum's and beside passes of 32 squares.

    python benchmarks/occlusion.py [--quick] [--json]

The same network, squares of 56 pixels that move by 18 (112 and 36 with `--quick`), one thread. Captum gets the number
of squares a pass that suits it best of 1, 4 and 32; passes of 32 in the usual arrangement in memory are what Convlens
did before. Our squares overlap the border and captum's do not, so times are given for one square. They are processor
times, the least of a few repetitions in turns: other work on the machine stretches the wall clock, and not that.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from captum.attr import Occlusion
from torch import nn

from convlens.explaining.occlusion import occlusion
from convlens.networks import create

SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network and large squares, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = ("resnet18",) if asked.quick else ("resnet18", "resnet50", "efficientnet_b0")
    patch, stride = (112, 36) if asked.quick else (56, 18)
    rows = [row for name in names for row in measured(name, patch, stride, 1 if asked.quick else 2)]
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['what']:55} ours {row['ours']:6.1f}  peer {row['peer']:6.1f} {row['unit']}  ratio {row['ratio']:.2f}"
        )


def measured(name: str, patch: int, stride: int, repetitions: int) -> list[dict[str, object]]:
    torch.manual_seed(0)
    usual, last = Counted(create(name), torch.contiguous_format), Counted(create(name), torch.channels_last)
    x = torch.randn(3, SIDE, SIDE)
    runs: dict[str, tuple[Counted, Callable[[], object]]] = {
        "ours": (last, lambda: our_map(last, x, patch, stride, None)),
        "32 a pass": (usual, lambda: our_map(usual, x, patch, stride, 32)),
    }
    for squares in (1, 4, 32):
        runs[f"captum, {squares} a pass"] = (
            usual,
            lambda squares=squares: their_map(usual, x, patch, stride, squares),
        )
    taken: dict[str, list[float]] = {label: [] for label in runs}
    for _ in range(repetitions):
        for label, (network, run) in runs.items():
            network.images, began = 0, time.process_time()
            run()
            taken[label].append(1e3 * (time.process_time() - began) / network.images)
    least = {label: min(times) for label, times in taken.items()}
    captum = min((label for label in least if label.startswith("captum")), key=least.__getitem__)
    return [
        {
            "what": f"{name}, beside {peer}",
            "ours": least["ours"],
            "peer": least[peer],
            "unit": "ms a square",
            "ratio": least[peer] / least["ours"],
        }
        for peer in ("32 a pass", captum)
    ]


class Counted:
    """A network that counts the images that it is given."""

    def __init__(self, network: nn.Module, arrangement: torch.memory_format) -> None:
        self.network = network.eval().to(memory_format=arrangement)
        self.arrangement = arrangement
        self.images = 0

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.images += len(x)
        return torch.softmax(self.network(x.contiguous(memory_format=self.arrangement)), dim=1)


def our_map(network: Counted, x: torch.Tensor, patch: int, stride: int, batch: int | None) -> object:
    def probabilities(x_NCHW: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(x_NCHW)).numpy()

    return occlusion(probabilities, x.numpy(), 0, patch=patch, stride=stride, batch=batch)


def their_map(network: Counted, x: torch.Tensor, patch: int, stride: int, squares: int) -> object:
    channels = x.shape[0]
    return Occlusion(network).attribute(
        x[None],
        (channels, patch, patch),
        strides=(channels, stride, stride),
        target=0,
        perturbations_per_eval=squares,
    )


if __name__ == "__main__":
    main()
