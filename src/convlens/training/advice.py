"""What to try when a training has learnt nothing that shows."""

from collections.abc import Mapping
from typing import Any

from convlens import networks
from convlens.training.config import TrainConfig

_USUAL_EPOCHS = 30
_FOR_PHOTOGRAPHS = "efficientnet_lite0"  # small, fast, and its weights come as a package


def is_guessing(held_out: Mapping[str, Any]) -> bool:
    """Whether the accuracy cannot be told from that of always naming the commonest class."""
    return bool(held_out["top1_low"] <= held_out["guessing"])


def when_guessing(config: TrainConfig) -> str:
    """What is likeliest to help a training whose network is no better than guessing.

    >>> when_guessing(TrainConfig(data="photos", network="resnet18", epochs=2))
    'train longer (--epochs 30), or start from published weights (--recipe finetune)'
    """
    longer = f"train longer (--epochs {max(_USUAL_EPOCHS, 3 * config.epochs)})"
    if config.weights:
        return longer
    if networks.card(config.network).weights:
        return f"{longer}, or start from published weights (--recipe finetune)"
    return f"{longer}, or start from published weights (--network {_FOR_PHOTOGRAPHS} --recipe finetune)"
