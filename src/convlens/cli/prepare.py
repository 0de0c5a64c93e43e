"""What `convlens prepare` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def prepare(
    data: str,
    *,
    network: str = "resnet18",
    size: str | None = None,
    channels: int | None = None,
    exclude: Path | None = None,
    columns: str | None = None,
    max_bad: float = 0.05,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Decode all images into the store that training reads, so that the first epoch is as fast as the others.

    Example: convlens prepare photos/ --network resnet18 --size 224

    The store is in CONVLENS_CACHE, or in the platform's cache folder. Training fills it by itself; preparing it first
    keeps a GPU, or a paid time slot, from waiting for decoding.

    Args:
        data: Labelled images, as for convlens train.
        network: Network to be trained; it determines size and preprocessing.
        size: Input size in pixels: 224, or 192,256 for height and width; as for convlens train.
        channels: Number of channels: 3 for RGB, 1 for gray; as for convlens train.
        exclude: Text file listing images to leave out, as for convlens train.
        columns: Column names of a table, as for convlens train.
        max_bad: Largest share of unreadable files, from 0 to 1.
        quiet: Print nothing.
    """
