"""How long a network takes for an image on this machine, before it is trained or run: summed up layer by layer."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convlens.calibrating.kept_calibration import RUNTIME, Calibration, calibration
from convlens.calibrating.workload import Step, Work
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from torch import nn

    from convlens.anatomy import Anatomy


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The latency of one image.

    Args:
        milliseconds: predicted, of one call on one core, undisturbed.
        runtime: what would take it.
        families: family of layers -> its milliseconds.
        unknown: operators that were not calibrated -> how many calls; they are not in `milliseconds`.
        unknown_macs: share of the network's MACs that is in them, from 0 to 1.
        training_milliseconds: of a step forward and backward, an image, in a batch; without the optimiser.
    """

    milliseconds: float
    families: dict[str, float]
    unknown: dict[str, int]
    unknown_macs: float
    training_milliseconds: float
    runtime: str = RUNTIME

    def epoch_seconds(self, images: int) -> float:
        """Seconds of one core that an epoch takes; without reading images, the optimiser and the validation."""
        return self.training_milliseconds * images / 1000

    def __str__(self) -> str:
        text = f"{self.milliseconds:.3g} ms predicted ({self.runtime})"
        return f"{text}; {self.unknown_text}" if self.unknown else text

    @property
    def unknown_text(self) -> str:
        """What is not in it, such as "unknown: aten.bmm 3×, 2.1 % of the MACs"; "" if nothing is missing."""
        if not self.unknown:
            return ""
        calls = ", ".join(f"{target} {count}×" for target, count in self.unknown.items())
        return f"unknown: {calls}, {100 * self.unknown_macs:.2g} % of the MACs"


def predicted_latency(
    network: "nn.Module | Anatomy", shape: Sequence[int] | None = None, *, using: Calibration | None = None
) -> Prediction:
    """Predict how long one call of a network takes on one core of this machine, without running it.

    Args:
        network: any module, or its anatomy.
        shape: (C, H, W) of an image, or (N, C, H, W); for a module.
        using: a calibration; the one in the cache when None.

    Raises:
        NotCalibratedError: this machine is not calibrated, or was with other versions.
        ConvlensError: a module without a shape, or one that does not take it.
    """
    from convlens.anatomy import Anatomy, inspect
    from convlens.calibrating.reading_graphs import steps_of

    known = using or calibration()
    if isinstance(network, Anatomy):
        return predicted(steps_of(network), known)
    if shape is None:
        raise ConvlensError("predicted_latency needs the shape of an image, such as (3, 224, 224)")
    return predicted(steps_of(inspect(network, tuple(shape))), known)


def predicted(steps: Iterable[Step], known: Calibration) -> Prediction:
    """Sum up the steps of a forward pass."""
    steps = list(steps)
    unknown, lost, every = Counter[str](), 0, 0
    calls: defaultdict[str, Counter[Work]] = defaultdict(Counter)
    for step in steps:
        every += step.macs or 0
        regression = known.regressions.get(step.work.family) if step.work else None
        if step.work is None or regression is None or step.work.kind not in regression.kinds:
            unknown[step.target] += 1
            lost += step.macs or 0
        else:
            calls[step.work.family][step.work] += 1
    families = {
        family: known.between * _total(counts, known, family)
        for family, counts in sorted(calls.items(), key=lambda entry: entry[0])
    }
    milliseconds = sum(families.values())
    return Prediction(
        milliseconds=milliseconds,
        families=families,
        unknown=dict(unknown),
        unknown_macs=lost / every if every else 0.0,
        training_milliseconds=milliseconds * known.training,
    )


def _total(counts: "Counter[Work]", known: Calibration, family: str) -> float:
    each: Any = known.regressions[family].milliseconds(list(counts), known.roof)
    return float(each @ list(counts.values()))
