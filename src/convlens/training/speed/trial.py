"""A batch is tried before the first epoch, so that memory runs out then and not in the second hour."""

from collections.abc import Callable
from typing import TypeVar

import torch

from convlens.data import Batch
from convlens.errors import ConvlensError
from convlens.training.config import TrainConfig
from convlens.training.material import Material
from convlens.training.optimisers import make_optimizer
from convlens.training.speed.numerics import Numerics, computing
from convlens.training.step_memory import is_out_of_memory

_Result = TypeVar("_Result")


def in_parts_that_fit(
    attempt: Callable[[int], _Result], parts: int, batch: int, say: Callable[[str], None]
) -> tuple[_Result, int]:
    """Attempt something with a batch in so many parts, and while memory does not suffice in twice as many.

    Args:
        attempt: is given the parts.
        parts: to begin with.
        batch: images in the batch, of which a part has at least one.
        say: is told once if it took more parts.

    Returns:
        What the attempt gave, and the parts.
    """
    first = parts
    while True:
        try:
            result = attempt(parts)
        except RuntimeError as error:
            if not is_out_of_memory(error) or parts >= batch:
                raise
            parts = min(2 * parts, batch)
        else:
            break
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if parts > first:
        say(f"out of memory in a trial step: the batch of {batch} is computed in {parts} parts")
    return result, parts


def try_step(material: Material, config: TrainConfig, numerics: Numerics, batch: Batch, parts: int) -> None:
    """Do one whole step, as training will do it, and leave nothing of it behind: no weight, statistic or random number.

    Raises:
        RuntimeError: memory does not suffice.
        ConvlensError: the network cannot be compiled.
    """
    network, step = material.network, material.step.computed_as(numerics)
    targets = batch.labels if batch.soft_labels is None else batch.soft_labels
    # They stand for the averaged weights, too, which a training with --ema holds besides.
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training = network.training
    devices = [material.device] if material.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), computing(network, numerics, recompute=config.recompute):
            step(network.train(), make_optimizer(network, config), batch.images, targets, parts)
            if devices:
                torch.cuda.synchronize(material.device)
    except RuntimeError as error:
        if numerics.compile == "none" or is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:150]
        raise ConvlensError(f"the network cannot be compiled here ({reason}); use --compile none") from error
    finally:
        network.load_state_dict(before)
        network.train(training).zero_grad(set_to_none=True)
