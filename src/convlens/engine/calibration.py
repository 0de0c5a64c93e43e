"""What flows into a network's products on real images: how far it reaches, and how eight bits hold it best."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convlens.engine.draft import Draft, Float, Scale

# What is multiplied: a value, and the gate by which its channels are multiplied before, or None.
Factor = tuple[int, int | None]

_SAMPLE = 4096  # numbers of a value that are kept of each image
_AT_ONCE = 1 << 28  # bytes of values that are looked at in one pass
_LEVELS = 255
_STEPS = (1e-20, 1e20)  # what arithmetic in float32 can still be done with
_CLIPPINGS = np.linspace(0.4, 1, 25)  # shares of the whole range that are tried at either end


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A factor on all images.

    Attributes:
        sample: of its numbers, the least and the largest among them.
        mean: of each channel.
    """

    sample: Float
    mean: Float

    def scale(self) -> Scale:
        """The scale that loses least of the sample in the mean square.

        Cutting off what is rare and far out makes the steps for all the rest finer; either end is tried by itself, as
        the sums of SiLU are cut at one end only. Zero is always among the numbers that are held exactly, for padding
        is made of it.
        """
        largest = float(np.abs(self.sample).max()) or 1.0
        sample = self.sample / np.float32(largest)
        low, high = min(float(sample.min()), 0.0), max(float(sample.max()), 0.0)
        best_high = min((_loss(sample, low, high * share), high * share) for share in _CLIPPINGS)[1]
        best_low = min((_loss(sample, low * share, best_high), low * share) for share in _CLIPPINGS)[1]
        best = _scale(best_low, best_high)
        return Scale(step=float(np.clip(best.step * largest, *_STEPS)), zero_point=best.zero_point)


def observe(draft: Draft, factors: Sequence[Factor], images_NCHW: Float) -> dict[Factor, Observed]:
    """Run images through a fused draft in float32, and look at the factors.

    Args:
        draft: as it is before it becomes a plan; it is not changed.
        factors: to look at.
        images_NCHW: preprocessed, at least one.
    """
    found: dict[Factor, Observed] = {}
    for group in _groups(draft, factors):
        found |= _observe_together(draft, group, images_NCHW)
    return found


def _groups(draft: Draft, factors: Sequence[Factor]) -> Iterator[list[Factor]]:
    """As many factors at once as memory should hold."""
    group: list[Factor] = []
    size = 0
    for factor in factors:
        value = draft.values[factor[0]]
        nbytes = 4 * value.channels * value.height * value.width
        if group and size + nbytes > _AT_ONCE:
            yield group
            group, size = [], 0
        group.append(factor)
        size += nbytes
    if group:
        yield group


def _observe_together(draft: Draft, factors: Sequence[Factor], images_NCHW: Float) -> dict[Factor, Observed]:
    from convlens.engine.plan import make_plan

    shown = list(dict.fromkeys(value for factor in factors for value in factor if value is not None))
    watched = copy.deepcopy(draft)
    watched.outputs = tuple(shown)
    watched.drop_unused()
    plan = make_plan(watched, precision="float32", threads=1, tune=False)
    program = plan.program(threads=1)
    samples: dict[Factor, list[Float]] = {factor: [] for factor in factors}
    means: dict[Factor, NDArray[np.float64]] = {factor: np.zeros(1) for factor in factors}
    for image in images_NCHW:
        answers = program.run(np.ascontiguousarray(image[None], np.float32))
        maps = dict(zip(shown, answers if isinstance(answers, tuple) else (answers,), strict=True))
        for factor in factors:
            x = _gated(maps, factor)
            flat = x.ravel()
            picked = flat[:: -(-flat.size // _SAMPLE)]
            samples[factor].append(np.append(picked, np.array([flat.min(), flat.max()], np.float32)))
            means[factor] = means[factor] + x.reshape(len(x), -1).mean(axis=1, dtype=np.float64)
    return {
        factor: Observed(
            sample=np.concatenate(samples[factor]), mean=(means[factor] / len(images_NCHW)).astype(np.float32)
        )
        for factor in factors
    }


def _gated(maps: dict[int, Float], factor: Factor) -> Float:
    """(C, H, W), or (C,) of a vector."""
    value, gate = factor
    x: Float = maps[value][0]
    if gate is None:
        return x
    gated: Float = x * maps[gate][0].reshape(-1, *(1,) * (x.ndim - 1))
    return gated


def _scale(low: float, high: float) -> Scale:
    step = (high - low) / _LEVELS or 1.0
    return Scale(step=step, zero_point=int(np.clip(np.rint(-low / step), 0, _LEVELS)))


def _loss(sample: Float, low: float, high: float) -> float:
    """The mean square of what rounding to whole numbers takes away."""
    scale = _scale(low, high)
    step, zero_point = np.float32(scale.step), np.float32(scale.zero_point)
    numbers = np.clip(np.rint(sample / step + zero_point), 0, _LEVELS)
    return float(np.mean(np.square((numbers - zero_point) * step - sample)))
