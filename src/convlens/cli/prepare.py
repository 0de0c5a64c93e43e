"""`convlens prepare`: decode every image before training does."""

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
) -> int:
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
    import sys

    from convlens.cli.bar import bar
    from convlens.data.keeping import OnDisk
    from convlens.sizes import image_size
    from convlens.training.config import TrainConfig
    from convlens.training.material import gather

    config = TrainConfig(
        data=data,
        network=network,
        size=image_size(size) if size else None,
        channels=channels,
        exclude=str(exclude) if exclude else None,
        columns=columns,
        max_bad=max_bad,
        batch=1,
        device="cpu",
    )
    material = gather(config, (lambda _: None) if quiet else (lambda note: print(note, file=sys.stderr)))
    for loader in (material.train_loader, material.val_loader):
        if loader is None:
            continue
        with bar("preparing", quiet) as on_progress:
            loader.fill(on_progress)
        if not quiet and isinstance(loader.kept, OnDisk):
            store = loader.kept.store
            print(f"{len(store):,} images in {store.folder}" + (f"; {store.stopped}" if store.stopped else ""))
        elif not quiet:
            print(f"{len(loader.records):,} images need no store: they are not encoded")
    return 0
