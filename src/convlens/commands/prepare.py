"""`convlens prepare`: decode every image before training does."""

import sys
from pathlib import Path

from convlens.commands.bar import bar
from convlens.data.keeping import OnDisk
from convlens.sizes import image_size
from convlens.training.config import TrainConfig
from convlens.training.material import gather


def prepare(
    data: str, *, network: str, size: str | None, channels: int | None, exclude: Path | None, columns: str | None,
    max_bad: float, quiet: bool
) -> int:  # fmt: skip
    """Decode all images into the store that training reads, so that the first epoch is as fast as the others."""
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
