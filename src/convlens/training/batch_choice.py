"""How many images go into a step, from their number and the network, where the user names none."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from convlens.training.config import USUAL_BATCH, TrainConfig
from convlens.training.settings import RECIPES, read_recipe

_LARGEST_BATCH = 128
_LEAST_STEPS = 200  # in an epoch, for a batch above the usual one


def with_fitting_batch(config: TrainConfig, network: nn.Module, images: int, say: Callable[[str], None]) -> TrainConfig:
    """Choose the batch where none is named, and the learning rate that goes with it.

    The usual batch is for more images than it: of fewer, half go into a step, so that an epoch has two. Of many, it is
    larger, for more of a step is then spent computing, and the recipe's rate grows in proportion (Goyal et al. 2017,
    section 2.1); one that the user names is taken as it is. Networks without batch norms keep the usual batch, since
    they do not bear such rates.

    Args:
        config: the training.
        network: to be trained.
        images: to train on.
        say: is told of another batch than the usual one.
    """
    if config.batch is not None or config.pipeline > 1:
        return replace(config, batch=config.images_per_step)
    batch, rate = USUAL_BATCH, config.lr
    if images < batch:
        batch = min(images, max(2, images // 2))
        say(f"{images} images to train on, so a step takes {batch} instead of {USUAL_BATCH}")
    elif _has_batch_norms(network):
        while batch < _LARGEST_BATCH and images >= 2 * batch * _LEAST_STEPS:
            batch *= 2
        if batch > USUAL_BATCH:
            if _is_of_its_recipe(config):
                rate = config.learning_rate * batch / USUAL_BATCH
            taken = f"learning rate {config.learning_rate if rate is None else rate:g}"
            say(f"{images:,} images to train on: {batch} in a step instead of {USUAL_BATCH}, {taken}")
    return replace(config, batch=batch, lr=rate, accumulate=min(config.accumulate, batch))


def _is_of_its_recipe(config: TrainConfig) -> bool:
    """Whether the learning rate is one of ours, for the usual batch."""
    return config.lr is None or (config.recipe in RECIPES and config.lr == read_recipe(config.recipe).get("lr"))


def _has_batch_norms(network: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
