"""The learning rate as a pure function of the step, so that a resumed run needs no state for it."""

from math import cos, pi


def rate_at(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """The learning rate of a step: a linear rise over the warm-up, then half a cosine down to zero.

    Args:
        step: from 0 to `steps` - 1.
        steps: of the whole training.
        peak: the largest learning rate.
        warmup: share of the steps in which it rises (Goyal et al. 2017, section 2.2).

    >>> [round(rate_at(step, 6, peak=1.0, warmup=0.34), 2) for step in range(6)]
    [0.33, 0.67, 1.0, 0.85, 0.5, 0.15]
    """
    rising = round(warmup * steps)
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    # Loshchilov and Hutter 2017, equation 5, with one cycle
    return peak * (1 + cos(pi * (step - rising) / (steps - rising))) / 2
