"""How the signal goes forward and the gradient comes back through plain and residual networks of the same depth.

    python -m convlens.explorer.vanishing --pair 20 --before-2015 --epochs 3

prints a line of JSON a step of the way, `{"progress": 0.1}`, and at the end what was measured. The pairs: `plain34`
beside `resnet34` on noise (He et al. 2015, figure 4), before the first step of training; and 20 layers on
scikit-learn's digits, half as wide as in section 4.2, before and after training.
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from convlens import networks
from convlens.data import open_dataset
from convlens.networks.resnet_cifar import CifarResNet

PAIRS = (34, 20)
KINDS = ("plain", "residual")
WIDTHS = (8, 16, 32)
SIDE = 64  # of the noise images
BATCH = 64


def flows(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Follow one batch forward and its loss back.

    Returns:
        For the output of each convolution on the main path, first layer first: `signal`, the root mean square of its
        values; `gradient`, the norm of the loss gradient there.
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    main = [m for name, m in network.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in name]
    handles = [module.register_forward_hook(keep) for module in main]
    try:
        cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    network.zero_grad()
    return {
        "signal": [float(each.detach().square().mean().sqrt()) for each in outputs],
        "gradient": [float(each.grad.norm()) for each in outputs if each.grad is not None],
    }


def as_before_2015(network: nn.Module) -> None:
    """No batch norm, and the initialisation of Glorot and Bengio (2010), which does not know ReLU."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())


def digits() -> tuple[Tensor, Tensor]:
    """All training digits, (N, 1, 16, 16) of −1..1, and their labels."""
    from sklearn.datasets import load_digits

    open_dataset("digits")  # says in one line what is missing, if something is
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 8 - 1
    return interpolate(x, size=(16, 16), mode="bilinear", antialias=False), torch.tensor(labels)


def measure(pair: int, *, norm: bool, epochs: int) -> Iterator[dict[str, Any]]:
    """Measure both networks of a pair.

    Args:
        pair: 34 or 20, the depth.
        norm: with batch norm and He's initialisation; otherwise as deep networks were before 2015.
        epochs: for which the two of 20 layers are trained; those of 34 are not.

    Yields:
        `{"progress": 0..1}`, last `{"plain": {…}, "residual": {…}}`, each `{"before": flows, "after": flows or None,
        "losses": one a step}`.
    """
    found: dict[str, Any] = {}
    for kind in KINDS:
        torch.manual_seed(0)
        if pair == 34:
            yield {"progress": KINDS.index(kind) / 2}
            found[kind] = _untrained(kind, norm)
        else:
            for told in _trained(kind, norm, epochs):
                if "progress" in told:
                    yield {"progress": (KINDS.index(kind) + told["progress"]) / 2}
                else:
                    found[kind] = told
    yield found


def _untrained(kind: str, norm: bool) -> dict[str, Any]:
    network = networks.create("plain34" if kind == "plain" else "resnet34")
    for module in network.modules():  # as in the paper, in both: a gamma of 0 (Goyal et al. 2017) would hide the branch
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    if not norm:
        as_before_2015(network)
    chance = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, SIDE, SIDE, generator=chance)
    labels = torch.randint(0, 1000, (8,), generator=chance)
    return {"before": flows(network.train(), images, labels), "after": None, "losses": []}


def _trained(kind: str, norm: bool, epochs: int) -> Iterator[dict[str, Any]]:
    """SGD with Nesterov momentum 0.9, learning rate 0.05 (0.01 without batch norm), gradients clipped to norm 5."""
    network = CifarResNet(blocks=3, widths=WIDTHS, skip=kind == "residual", channels=1)
    if not norm:
        as_before_2015(network)
    x, y = digits()
    order = torch.Generator().manual_seed(0)
    steps = epochs * (len(x) // BATCH)
    batches = torch.randint(0, len(x), (steps, BATCH), generator=order)
    before = flows(network, x[batches[0]], y[batches[0]])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05 if norm else 0.01, momentum=0.9, nesterov=True)
    losses: list[float] = []
    for step, batch in enumerate(batches):
        loss = cross_entropy(network(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % 10 == 0:
            yield {"progress": step / steps}
    yield {"before": before, "after": flows(network, x[batches[0]], y[batches[0]]), "losses": losses}


def main() -> None:
    """Print progress and result as lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", type=int, choices=PAIRS, default=34)
    parser.add_argument("--before-2015", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for line in measure(asked.pair, norm=not asked.before_2015, epochs=asked.epochs):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
