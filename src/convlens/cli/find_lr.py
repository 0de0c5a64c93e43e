"""`convlens find-lr`: which learning rate to begin with."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def find_lr(
    data: str,
    *,
    network: str = "resnet18",
    optimizer: str = "adamw",
    batch: int = 32,
    size: int | None = None,
    weights: str | None = None,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    seed: int = 0,
    device: str = "auto",
    figure: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Raise the learning rate step by step until the loss explodes, and suggest one from where it fell fastest.

    Example: convlens find-lr photos/ --network resnet18 --optimizer sgd

    Args:
        data: The labelled images, as for convlens train.
        network: Name of the network.
        optimizer: sgd, adamw or lamb.
        batch: Images a step.
        size: Side of the input in pixels; from the images if not given.
        weights: Weights to start from: a published name, a file, or a run folder.
        lowest: The first rate.
        highest: The last rate.
        steps: How many steps from one to the other.
        seed: Decides initial weights, order and augmentation.
        device: auto, cpu, cuda or cuda:1.
        figure: PNG file to draw the loss into.
        json_: Print the rates and losses as JSON and nothing else.
        quiet: Show no progress bar.
    """
    from convlens.cli.bar import bar
    from convlens.evaluation.figures import save_png
    from convlens.training.rate_finder import find_rate
    from convlens.training.settings import settle

    given = {"data": data, "network": network, "optimizer": optimizer, "batch": batch, "size": size}
    config = settle(given | {"weights": weights, "seed": seed, "device": device})
    with bar("sweeping", quiet or json_) as on_progress:
        found = find_rate(config, lowest=lowest, highest=highest, steps=steps, on_progress=on_progress)
    if figure:
        save_png(found.figure(), figure)
    if json_:
        print(json.dumps(asdict(found), indent=2))
        return 0
    print(f"the loss falls fastest at {found.suggestion:.2g} and is smallest at {found.largest:.2g}")
    print(f"train     convlens train {data} --network {network} --optimizer {optimizer} --lr {found.suggestion:.2g}")
    if figure:
        print(f"figure    {figure}")
    return 0
