"""What is inside the noise: two networks compared on the same images, several comparisons at a time.

Each network is right or wrong on each image. Images that both get right, or both wrong, say nothing about which is
better; of the others, each is as likely to favour either if both are equally good.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import ceil, comb, sqrt

LEVEL = 0.05
_POWER_QUANTILE = 0.8416  # of the normal distribution, for a difference to be found in 80 % of such studies
_LEVEL_QUANTILE = 1.96  # two-sided, 5 %


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The most accurate network against another one, on the same images.

    Attributes:
        best: the name of the most accurate one.
        other: the name of the one it is compared with.
        images: that both were asked about.
        only_best: images that only the most accurate one gets right.
        only_other: images that only the other one gets right.
        p: probability of so uneven a division, or a more uneven one, between two equally good networks.
        p_adjusted: the same for all comparisons of the study together.
        p_seeds: of the difference between trainings with several seeds; None with one seed.
        images_needed: so many images would show a difference of this size in four studies of five; None where there is
            no difference to be shown.
    """

    best: str
    other: str
    images: int
    only_best: int
    only_other: int
    p: float
    p_adjusted: float
    p_seeds: float | None
    images_needed: int | None

    @property
    def distinguished(self) -> bool:
        """Whether the difference is more than noise: of the images and, where there are several seeds, of training."""
        return self.p_adjusted < LEVEL and (self.p_seeds is None or self.p_seeds < LEVEL)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p value of McNemar's test: a binomial with one half (McNemar 1947; exact as in Agresti 2002,
    section 10.1.4).

    >>> round(mcnemar(6, 0), 5), round(mcnemar(10, 4), 4), mcnemar(0, 0)
    (0.03125, 0.1796, 1.0)
    """
    discordant = only_first + only_second
    tail = sum(comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    both_sides: float = 2 * tail / 2**discordant
    return min(1.0, both_sides)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for being several (Holm 1979): the smallest counts as often as there are values, and so on.

    >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def images_needed(only_first: int, only_second: int, images: int) -> int | None:
    """How many images show a difference like this one at 5 % with a power of 80 % (Connor 1987, equation 3).

    >>> images_needed(20, 8, 360), images_needed(3, 3, 360)
    (548, None)
    """
    differing, difference = (only_first + only_second) / images, abs(only_first - only_second) / images
    if difference == 0:
        return None
    spread = _LEVEL_QUANTILE * sqrt(differing) + _POWER_QUANTILE * sqrt(differing - difference**2)
    return ceil((spread / difference) ** 2)


def seeds_differ(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The p value of a difference between the means of accuracies over seeds (Welch 1947); None with too few."""
    if min(len(first), len(second)) < 2:
        return None
    from scipy.stats import ttest_ind

    if len(set(first)) == len(set(second)) == 1:  # no spread at all: either the same, or as sure as can be
        return 1.0 if first[0] == second[0] else 0.0
    return float(ttest_ind(first, second, equal_var=False).pvalue)


def compare_with_best(
    mistakes: dict[str, AbstractSet[str]], images: int, best: str, seeds: dict[str, Sequence[float]]
) -> list[Comparison]:
    """Compare the most accurate network with every other one.

    Args:
        mistakes: the images that each network gets wrong.
        images: how many each was asked about.
        best: the name of the most accurate one.
        seeds: accuracies of each network's trainings.
    """
    others = [name for name in mistakes if name != best]
    counts = [(len(mistakes[name] - mistakes[best]), len(mistakes[best] - mistakes[name])) for name in others]
    p_values = [mcnemar(*pair) for pair in counts]
    return [
        Comparison(
            best=best,
            other=name,
            images=images,
            only_best=pair[0],
            only_other=pair[1],
            p=p,
            p_adjusted=adjusted,
            p_seeds=seeds_differ(seeds[best], seeds[name]),
            images_needed=images_needed(*pair, images),
        )
        for name, pair, p, adjusted in zip(others, counts, p_values, holm(p_values), strict=True)
    ]
