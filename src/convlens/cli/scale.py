"""What `convlens scale` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def scale(
    data: str,
    *,
    base: str = "efficientnet_b0",
    max_ms: str | None = None,
    max_macs: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    gamma: float | None = None,
    size: int | None = None,
    epochs: int = 5,
    seed: int = 0,
    runs: Path = Path("runs/scale"),
    figure: Path | None = None,
    quiet: bool = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Scale a network in depth, width and resolution together, until it meets a budget.

    How much of each is found on your images, by training the base a few epochs at twice its cost in ten ways, unless
    --alpha, --beta and --gamma give it. The result is a network by its coefficients, such as efficientnet@1.2,1.1,260,
    which every command takes.

    Example: convlens scale photos/ --base efficientnet_b0 --max-macs 300M

    Args:
        data: Images to train on: a folder with one folder per class, a table, shards, an address, or digits.
        base: Network to scale: efficientnet_b0, mobilenet_v2, resnet18 to resnet152, or one that is scaled itself, such
            as resnet@0.5,0.25,16.
        max_ms: Longest predicted time for one image, in milliseconds (see convlens calibrate).
        max_macs: Largest number of multiply-adds for one image, such as 300M.
        alpha: Growth of the depth for twice the cost. Default: found on the images.
        beta: Growth of the width for twice the cost. Default: found on the images.
        gamma: Growth of the resolution for twice the cost. Default: found on the images.
        size: Side of the base's images in pixels. Default: its own.
        epochs: Number of epochs of each short training.
        seed: Random seed of the short trainings.
        runs: Folder for the short trainings; those already there are not repeated.
        figure: Also scale in one dimension at a time, and draw accuracy against cost here (.png, .svg, .pdf).
        quiet: Print nothing while training.
        json_: Print the result as JSON and nothing else.
    """
