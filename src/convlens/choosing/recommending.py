"""Which network to take: the smallest of those that cannot be distinguished from the most accurate one."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import fmean

from convlens.choosing.limits import Costs, cheapest
from convlens.choosing.significance import LEVEL, Comparison, compare_with_best, mcnemar
from convlens.evaluation.metrics import wilson_interval


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A candidate that was asked about the held-out images.

    Attributes:
        costs: of the network.
        images: that it was asked about.
        mistakes: the images that it got wrong, by their keys.
        seeds: accuracy of each of its trainings, the first being the one that the mistakes are of.
    """

    costs: Costs
    images: int
    mistakes: AbstractSet[str]
    seeds: tuple[float, ...]

    @property
    def top1(self) -> float:
        """The mean accuracy of its trainings."""
        return fmean(self.seeds)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The network to take, the most accurate one, and how the others compare with the latter."""

    name: str
    best: str
    comparisons: tuple[Comparison, ...]


def recommend(answered: Mapping[str, Answered]) -> Recommendation:
    """Choose among candidates that were asked about the same images; at least one."""
    best = max(answered, key=lambda name: (answered[name].top1, -answered[name].costs.parameters, name))
    comparisons = compare_with_best(
        {name: each.mistakes for name, each in answered.items()},
        answered[best].images,
        best,
        {name: each.seeds for name, each in answered.items()},
    )
    as_good = [best, *(each.other for each in comparisons if not each.distinguished)]
    name = cheapest(as_good, {each: answered[each].costs for each in as_good})
    return Recommendation(name=name, best=best, comparisons=tuple(comparisons))


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A candidate that has not been trained to its end: its costs, and its share of the validation images so far."""

    costs: Costs
    top1: float
    images: int


def could_change(waiting: Mapping[str, Waiting], answered: Mapping[str, Answered], gain: float) -> list[str]:
    """Which candidates could change the recommendation if they were trained to their end.

    None is credited with more than the upper end of its interval now, and the largest gain that any candidate made from
    here to its end. A smaller network changes the recommendation if it then cannot be distinguished from the most
    accurate one even where they err on different images; a larger one if it can be distinguished from the recommended
    network where it errs only on images on which that one errs, too.

    Args:
        waiting: candidates at the last rung, by name.
        answered: those that finished; at least one.
        gain: the largest one that was seen.
    """
    chosen = recommend(answered)
    best, taken = answered[chosen.best], answered[chosen.name]
    changing = []
    for name, each in waiting.items():
        reach = min(1.0, wilson_interval(round(each.top1 * each.images), each.images)[1] + gain)
        wrong = round((1 - reach) * taken.images)
        smaller = cheapest([name, chosen.name], {name: each.costs, chosen.name: taken.costs}) == name
        if smaller:
            changes = mcnemar(wrong, len(best.mistakes)) >= LEVEL or wrong <= len(best.mistakes)
        else:
            changes = wrong < len(taken.mistakes) and mcnemar(len(taken.mistakes) - wrong, 0) < LEVEL
        if changes:
            changing.append(name)
    return changing


def frontier_of(costs: Mapping[str, Costs], top1: Mapping[str, float]) -> list[str]:
    """The Pareto set: candidates that no other one beats, being at least as accurate and as cheap in every respect.

    Costs that are unknown for one of two candidates are left out of their comparison.
    """
    return [name for name in top1 if not any(_beats(other, name, costs, top1) for other in top1)]


def _beats(first: str, second: str, costs: Mapping[str, Costs], top1: Mapping[str, float]) -> bool:
    pairs: list[tuple[float, float]] = [(-top1[first], -top1[second])]
    for cost in ("parameters", "macs", "file_bytes", "memory_bytes", "latency_ms"):
        ours, theirs = getattr(costs[first], cost), getattr(costs[second], cost)
        if ours is not None and theirs is not None:
            pairs.append((ours, theirs))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def largest_gain(before: Sequence[float], after: Sequence[float]) -> float:
    """The largest rise from the last rung but one to the end, at least 0.

    >>> round(largest_gain([0.8, 0.9], [0.95, 0.92]), 2), largest_gain([0.9], [0.8])
    (0.15, 0.0)
    """
    return max(0.0, *(end - begin for begin, end in zip(before, after, strict=True)))
