"""Folders of drawn images for tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (6, 9)) -> None:
    """Write an image of noise, whose format follows from the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)


def draw_classes(root: Path, counts: dict[str, int], suffix: str = "png") -> None:
    """Write so many images into each class folder."""
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            draw(root / name / f"{i}.{suffix}", seed=1000 * number + i)
