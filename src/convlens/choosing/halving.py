"""Successive halving: many candidates get a few epochs each, the best of them more, a few of these all.

Jamieson and Talwalkar 2016 (arXiv:1502.07943), with a quarter kept at each rung, and, as in Schmucker et al. 2021
(arXiv:2106.12639), not only by accuracy: a network that no smaller one beats is wanted, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from optuna.pruners import BasePruner

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

PROBE, LAST = 0, 3
KEPT = 4  # one in so many goes on
_FEWEST_STEPS = 60
FEWEST = 3  # that reach the last rung: fewer make no frontier


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a trial stands at a rung: accuracy on the validation images, and what the network costs."""

    top1: float
    parameters: int
    macs: int

    def beats(self, other: "Standing") -> bool:
        """Whether it is nowhere worse and somewhere better: the other one is not on the frontier then."""
        ours, theirs = (self.top1, -self.parameters, -self.macs), (other.top1, -other.parameters, -other.macs)
        return ours != theirs and all(a >= b for a, b in zip(ours, theirs, strict=True))


def epochs_at(rung: int, epochs: int, steps: int) -> int:
    """After how many epochs of a training a rung ends: 0 for the probe, then a sixteenth, a quarter, all.

    Args:
        rung: from `PROBE` to `LAST`.
        epochs: of the whole training.
        steps: of an epoch; a rung has a few dozen at least, for before that networks differ by chance.

    >>> [epochs_at(rung, 30, 40) for rung in range(4)], [epochs_at(rung, 8, 10) for rung in range(4)]
    ([0, 2, 8, 30], [0, 6, 6, 8])
    """
    if rung == PROBE:
        return 0
    return min(epochs, max(round(epochs / float(KEPT) ** (LAST - rung)), ceil(_FEWEST_STEPS / steps)))


def ranked(standings: Mapping[int, Standing]) -> list[int]:
    """Trials, the most accurate first; of equal ones the smaller first."""
    return sorted(standings, key=lambda n: (-standings[n].top1, standings[n].parameters, standings[n].macs, n))


def promoted(standings: Mapping[int, Standing]) -> list[int]:
    """Which trials go on from a rung: half of the places for the most accurate, the others for the frontier.

    >>> small, middle, large = (Standing(top1=t, parameters=p, macs=p) for t, p in ((0.5, 1), (0.8, 3), (0.9, 9)))
    >>> beaten = [Standing(top1=0.85, parameters=9 + n, macs=9) for n in range(9)]
    >>> promoted(dict(enumerate([small, middle, large, *beaten])))
    [2, 3, 1]
    """
    places = min(len(standings), max(FEWEST, ceil(len(standings) / KEPT)))
    order = ranked(standings)
    kept = order[: ceil(places / 2)]
    on_frontier = [n for n in order if not any(standings[m].beats(standings[n]) for m in standings)]
    for candidate in (*on_frontier, *order):
        if len(kept) < places and candidate not in kept:
            kept.append(candidate)
    return sorted(kept, key=order.index)


class FrontierHalving(BasePruner):  # type: ignore[misc]  # whose types are skipped, as those of all extras
    """Optuna's side of it: a trial is pruned if it is not among those promoted from the rung that it reached last.

    All trials that reached the rung count, whatever became of them, so that the answer is the same after a kill.
    """

    def prune(self, study: "Study", trial: "FrozenTrial") -> bool:
        """Whether a trial ends here."""
        rung = trial.last_step
        if rung is None or rung == LAST:
            return False
        return trial.number not in promoted(standings_at(study, rung))


def standings_at(study: "Study", rung: int) -> dict[int, Standing]:
    """How all trials stand that reached a rung."""
    return {
        trial.number: Standing(
            top1=trial.intermediate_values[rung],
            parameters=trial.user_attrs["parameters"],
            macs=trial.user_attrs["macs"],
        )
        for trial in study.get_trials(deepcopy=False)
        if rung in trial.intermediate_values
    }
