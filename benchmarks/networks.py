"""Forward pass and training step of each family, beside a peer in the same run.

    python benchmarks/networks.py [--quick] [--json]

The peer of a published network is torchvision's of the same name where torchvision is installed; otherwise, and for
networks that it does not have, the bare convolutions and linear layers of the same network: what is left is what batch
norm, activations, pooling and our own code cost. The two take turns. Batches of 4 images (1 with --quick), one thread.
"""

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from convlens.networks import WithAuxiliary, card, create

NAMES = (
    "mlp", "lenet5_1998", "lenet5", "alexnet_2012", "alexnet", "vgg11", "googlenet_2014", "googlenet", "resnet18",
    "resnet50", "resnet20", "efficientnet_b0",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small batches and few repetitions, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    batch, repetitions = (1, 3) if asked.quick else (4, 5)
    rows = [row for name in NAMES for row in measured(name, batch, repetitions)]
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(
            f"{row['what']:60} ours {row['ours']:9.2f}  peer {row['peer']:9.2f} {row['unit']}  ratio {row['ratio']:.2f}"
        )


def measured(name: str, batch: int, repetitions: int) -> list[dict[str, object]]:
    """Two rows: the forward pass in eval mode, and forward, backward and SGD in training mode."""
    sheet = card(name)
    x = torch.randn(batch, sheet.channels, *sheet.input_size)
    labels = torch.zeros(batch, dtype=torch.long)
    ours = create(name)
    peer_name, peer = peer_of(name, ours, x)
    rows = []
    for what, run in (("forward", forward), ("training step", step)):
        times = interleaved([lambda run=run: run(ours, x, labels), lambda run=run: run(peer, x, labels)], repetitions)
        mine, theirs = times
        label = f"{name}, {what}, batch of {batch}, beside {peer_name}"
        rows.append({"what": label, "ours": mine, "peer": theirs, "unit": "ms", "ratio": theirs / mine})
    return rows


def peer_of(name: str, ours: nn.Module, x: Tensor) -> tuple[str, nn.Module]:
    if card(name).weights and importlib.util.find_spec("torchvision"):
        import torchvision

        extra = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
        return "torchvision", torchvision.models.get_model(name, weights=None, **extra)
    return "its bare layers", BareLayers(ours.eval(), x)


class BareLayers(nn.Module):
    """The convolutions and linear layers of a network, each on an input of the shape that it gets there."""

    def __init__(self, network: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.calls: list[tuple[nn.Module, Tensor]] = []

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.calls.append((module, torch.randn_like(inputs[0])))

        layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        handles = [layer.register_forward_pre_hook(keep) for layer in layers]
        with torch.no_grad():
            network(x)
        for handle in handles:
            handle.remove()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        total = x.new_zeros(())
        for number, (layer, given) in enumerate(self.calls):
            needs = self.training and number > 0
            total = total + layer(given.detach().requires_grad_(needs)).sum()
        return total.expand(len(x), 2)


def forward(network: nn.Module, x: Tensor, _labels: Tensor) -> None:
    network.eval()
    with torch.inference_mode():
        network(x)


def step(network: nn.Module, x: Tensor, labels: Tensor) -> None:
    network.train()
    output = network(x)
    scores = output.logits if isinstance(output, WithAuxiliary) else output
    loss = cross_entropy(scores, labels)
    if isinstance(output, WithAuxiliary):
        loss = loss + output.weight * sum(cross_entropy(head, labels) for head in output.auxiliary)
    network.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.add_(parameter.grad, alpha=-1e-6)


def interleaved(runs: list[Callable[[], None]], repetitions: int) -> list[float]:
    """Median milliseconds of each, after one warm-up; they take turns, so that they share the machine's bad moments."""
    times: list[list[float]] = [[] for _ in runs]
    for repetition in range(repetitions + 1):
        for position, run in enumerate(runs):
            started = time.perf_counter()
            run()
            if repetition:
                times[position].append(1000 * (time.perf_counter() - started))
    return [statistics.median(values) for values in times]


if __name__ == "__main__":
    main()
