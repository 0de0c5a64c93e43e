"""Plain against residual networks of 20 and 56 layers: loss curves and the gradient of each layer, as a figure.

    python benchmarks/vanishing_gradient.py [--quick] [--json] [--figure PATH]

He et al. (2015, section 4.2, figure 6) on CIFAR-10, here on scikit-learn's 1,797 digits at 16×16. The networks are
`CifarResNet` with and without shortcuts, with half the widths, otherwise the same and from the same seed. Twice: with
batch norm and He initialisation, as in the paper; and as deep networks were before 2015, without batch norm and with
Glorot's.
"""

import argparse
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from convlens.explorer.vanishing import PAIRS, WIDTHS, as_before_2015, digits, flows, measure
from convlens.networks.resnet_cifar import CifarResNet

DEPTHS = (20, 56)
BUNDLE = Path(__file__).parents[1] / "src" / "convlens" / "explorer" / "trained" / "gradients.json"


@dataclass
class Outcome:
    """What one network did."""

    depth: str
    kind: str
    setting: str
    losses: list[float]
    gradients: list[float]  # norm of the loss gradient at the output of each convolution, first step, first layer first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps and one seed, under a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--bundle", action="store_true", help="only measure what the explorer shows at once, and keep it"
    )
    parser.add_argument("--figure", type=Path, help="write the figure here, .png or .svg")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.bundle:
        bundle()
        return
    steps = 12 if asked.quick else 150
    settings = [(norm, depth) for norm in (True, False) for depth in DEPTHS]
    pairs = [[train(depth, skip=skip, norm=norm, steps=steps) for skip in (True, False)] for norm, depth in settings]
    rows = [row for residual, plain in pairs for row in compare(residual, plain)]
    if asked.figure:
        draw([outcome for pair in pairs for outcome in pair], asked.figure)
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(f"{row['what']:62} residual {row['ours']:9.3g}  plain {row['peer']:9.3g} {row['unit']}")


def bundle() -> None:
    """What page 10 of the explorer shows before it is asked to measure here: three digits of each number are enough."""
    found = {}
    for pair in PAIRS:
        for norm in (True, False):
            *_, result = measure(pair, norm=norm, epochs=6)
            found[f"{pair} {'norm' if norm else 'before 2015'}"] = rounded(result)
    about = {"measured": datetime.now(UTC).date().isoformat(), "epochs": 6, "found": found}
    BUNDLE.write_text(json.dumps(about) + "\n", encoding="utf-8")


def rounded(nest: Any) -> Any:
    if isinstance(nest, dict):
        return {key: rounded(each) for key, each in nest.items()}
    return [float(f"{each:.3g}") for each in nest] if isinstance(nest, list) else nest


def train(depth: int, *, skip: bool, norm: bool, steps: int) -> Outcome:
    """SGD with Nesterov momentum 0.9, learning rate 0.05 (0.01 without batch norm), gradients clipped to norm 5."""
    torch.manual_seed(0)
    network = CifarResNet(blocks=(depth - 2) // 6, widths=WIDTHS, skip=skip, channels=1)
    if not norm:
        as_before_2015(network)
    images, labels = digits()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05 if norm else 0.01, momentum=0.9, nesterov=True)
    order = torch.Generator().manual_seed(0)
    batches = torch.randint(0, len(images), (steps, 64), generator=order)
    gradients = flows(network, images[batches[0]], labels[batches[0]])["gradient"]
    losses: list[float] = []
    for batch in batches:
        optimizer.zero_grad()
        loss = cross_entropy(network(images[batch]), labels[batch])
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    kind, setting = "residual" if skip else "plain", "batch norm" if norm else "before 2015"
    return Outcome(f"{depth} layers", kind, setting, losses, gradients)


def compare(residual: Outcome, plain: Outcome) -> list[dict[str, object]]:
    """Rows with a ratio above one where the residual network is better."""
    name = f"{residual.depth}, {residual.setting}"
    last = max(1, len(residual.losses) // 10)
    losses = [sum(outcome.losses[-last:]) / last for outcome in (residual, plain)]
    spread = [max(o.gradients) / max(min(o.gradients), 1e-30) for o in (residual, plain)]
    what = (f"{name}: training loss at the end", f"{name}: largest over smallest gradient of a layer")
    return [
        {"what": text, "ours": ours, "peer": peer, "unit": unit, "ratio": peer / ours}
        for text, (ours, peer), unit in zip(what, (losses, spread), ("nats", "times"), strict=True)
    ]


def draw(outcomes: list[Outcome], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=110, layout="constrained")
    grid = figure.subplots(2, 2)
    for row, setting in enumerate(("batch norm", "before 2015")):
        for outcome in (one for one in outcomes if one.setting == setting):
            colour = "#0072b2" if outcome.kind == "residual" else "#d55e00"
            style = "-" if outcome.depth == "56 layers" else ":"
            grid[row][0].plot(smoothed(outcome.losses), style, color=colour, label=f"{outcome.kind}, {outcome.depth}")
            grid[row][1].plot(range(1, len(outcome.gradients) + 1), outcome.gradients, style, color=colour)
        grid[row][0].set(xlabel="step", ylabel="training loss, mean of 10 steps", ylim=(0, 3), title=TITLES[setting])
        grid[row][1].set(xlabel="layer, the first sees the image", ylabel="gradient norm at its output", yscale="log")
        grid[row][1].set_title("before the first step")
        grid[row][0].legend(frameon=False)
    figure.savefig(path)


TITLES = {"batch norm": "batch norm, He's initialisation", "before 2015": "no batch norm, Glorot's initialisation"}


def smoothed(losses: list[float]) -> list[float]:
    windows = (losses[max(0, i - 9) : i + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows]


if __name__ == "__main__":
    main()
