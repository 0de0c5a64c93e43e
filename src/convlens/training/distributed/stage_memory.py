"""What one step of a stage holds at its peak, worked out from the anatomy of one micro-batch."""

from collections.abc import Sequence

from torch import Tensor, nn

from convlens.anatomy import training_memory
from convlens.training.config import Schedule


def stage_memory(
    module: nn.Module,
    given: Sequence[Tensor],
    made: Sequence[Tensor],
    *,
    stage: int,
    stages: int,
    microbatches: int,
    schedule: Schedule,
    recompute: bool,
) -> int:
    """Bytes that a step of a stage holds at its peak, beside its parameters, their moments and the images.

    GPipe's schedule holds the activations of all micro-batches when the backward passes begin, 1F1B those of as many as
    stages follow; with recomputation only what crosses is held for each, and the activations of one (Huang et al. 2018,
    section 2.3). What arrives from other stages has its place from the beginning of the step.

    Args:
        module: the stage, in training mode.
        given: the tensors of one micro-batch that cross into it; on the meta device, as `crossing` gives them.
        made: those that cross out of it.
        stage: which it is, from 0.
        stages: how many there are.
        microbatches: of a step.
        schedule: in which they flow.
        recompute: whether activations are computed again in the backward pass.
    """
    one = training_memory(module, *given)
    held = microbatches if schedule == "gpipe" else min(microbatches, stages - stage)
    kept = _bytes(made) if recompute else one.saved
    crossed = _bytes(given) if stage else 0
    arriving = crossed + (_bytes(made) if stage + 1 < stages else 0)
    # When the backward passes begin, activations of all are held; when they end, the gradients that are on their way.
    sent = microbatches if schedule == "gpipe" else 2
    return microbatches * arriving + one.peak + max((held - 1) * kept + crossed, sent * crossed)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
