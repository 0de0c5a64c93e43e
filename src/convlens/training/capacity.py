"""Whether a network can learn its images by heart, which augmentation is to keep it from."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from convlens.training.config import TrainConfig

UNMIXED: dict[str, Any] = {"policy": "none", "mixup": 0.0, "cutmix": 0.0, "repeats": 1}
"""What a network trains with that is too small to learn its images by heart."""


def with_fitting_mixing(
    config: TrainConfig, network: nn.Module, images: int, say: Callable[[str], None]
) -> TrainConfig:
    """Leave out what distorts images, where the network has fewer parameters an image than `mixing_from`.

    Larger networks need more regularisation (Tan and Le 2019, section 5.2), and small ones less.

    Args:
        config: the training.
        network: to be trained.
        images: to train on.
        say: is told what is left out.
    """
    share = sum(parameter.numel() for parameter in network.parameters()) / images
    left_out = [name for name, value in UNMIXED.items() if getattr(config, name) != value]
    if share >= config.mixing_from or not left_out:
        return config
    say(
        f"{config.network} has {share:.1f} parameters for each of {images:,} images, so it trains without "
        f"{', '.join(left_out)}; with --mixing-from 0 it trains with them"
    )
    return replace(config, **UNMIXED)
