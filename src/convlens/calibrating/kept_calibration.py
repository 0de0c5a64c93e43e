"""The calibration: layers measured on this machine, and what was learnt from them; kept in the cache."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from convlens import __version__, files
from convlens.calibrating.regression import Regression, Roof, fit
from convlens.calibrating.sampling import Layer, draw_rows
from convlens.calibrating.workload import WEIGHTED, Work
from convlens.errors import ConvlensError
from convlens.processors import processor_name

RUNTIME = "PyTorch, one core, float32"
ROWS, SECONDS = 110, 36.0
_LEAST_ROWS = 20
_TRAINED = 6  # rows whose training step is timed too
_LEAST_BYTES = 1_000_000  # of a layer that tells the bandwidth

Note = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is known about the layers of this machine.

    Args:
        processor: what it calls itself.
        versions: of the libraries that ran the layers.
        layers: how many were measured.
        roof: what no layer exceeded.
        between: time of a row as a whole, divided by the sum of its layers' times.
        training: time of a training step for an image (forward and backward, in a batch), divided by that of inference.
        regressions: family -> its regression.
    """

    processor: str
    versions: dict[str, str]
    layers: int
    roof: Roof
    between: float
    training: float
    regressions: dict[str, Regression]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **{name: getattr(self, name) for name in ("processor", "versions", "layers", "between", "training")},
            "runtime": RUNTIME,
            "roof": asdict(self.roof),
            "regressions": {family: each.to_dict() for family, each in self.regressions.items()},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Calibration":
        """From what `to_dict` gave."""
        plain = {name: content[name] for name in ("processor", "versions", "layers", "between", "training")}
        regressions = {family: Regression.from_dict(each) for family, each in content["regressions"].items()}
        return cls(**plain, roof=Roof(**content["roof"]), regressions=regressions)


class NotCalibratedError(ConvlensError):
    """No calibration of this machine and these versions; the message says what makes one."""


def calibrate(rows: int = ROWS, *, seconds: float = SECONDS, seed: int = 0, on_note: Note | None = None) -> Calibration:
    """Measure layers on one core of this machine, learn from them, and keep that in the cache.

    Args:
        rows: of layers; fewer take less time and predict worse.
        seed: of the layers that are drawn.
        seconds: of timing; more make it less likely that a layer was disturbed each time.
        on_note: told the share of the time that has gone.

    Raises:
        ConvlensError: too few rows, or no time.
    """
    made = measure(rows, seconds=seconds, seed=seed, on_note=on_note)
    files.write_json(_path(), made.to_dict())
    return made


def measure(rows: int, *, seconds: float, seed: int, on_note: Note | None) -> Calibration:
    """Measure layers and learn from them; see `calibrate`, which also keeps it."""
    if rows < _LEAST_ROWS:
        raise ConvlensError(f"rows is {rows}; use at least {_LEAST_ROWS}, so that each kind of layer is among them")
    if seconds <= 0:
        raise ConvlensError(f"seconds is {seconds}; use more than 0")
    from convlens.calibrating.eager_layers import time_rows, training_factor

    drawn = draw_rows(rows, seed)
    layers, between = time_rows(drawn, seconds, on_note)
    usual = [row for number, row in enumerate(drawn) if number % 10 == 0][:_TRAINED]
    return _learnt(drawn, layers, between, training_factor(usual))


def calibration() -> Calibration:
    """The calibration of this machine with these versions, out of the cache.

    Raises:
        NotCalibratedError: there is none.
    """
    content = files.remembered(_path())
    remedy = "run convlens calibrate, which takes less than a minute"
    if not content:
        raise NotCalibratedError(f"this machine is not calibrated; {remedy}")
    stamped = {"processor": processor_name(), "versions": _versions()}
    for name, now in stamped.items():
        if content.get(name) != now:
            raise NotCalibratedError(f"the calibration is of {name} {content.get(name)}, not {now}; {remedy}")
    try:
        return Calibration.from_dict(content)
    except (KeyError, TypeError, ValueError):
        raise NotCalibratedError(f"the calibration {str(_path())!r} cannot be read; {remedy}") from None


def _path() -> Path:
    return files.cache_folder() / "calibration.json"


def _versions() -> dict[str, str]:
    return {"convlens": __version__, "torch": version("torch")}


def _learnt(
    drawn: Sequence[Sequence[Layer]], layers: Sequence[Sequence[float]], between: float, training: float
) -> Calibration:
    measured: dict[str, list[tuple[Work, float, int]]] = {}
    for number, (row, taken) in enumerate(zip(drawn, layers, strict=True)):
        for layer, milliseconds in zip(row, taken, strict=True):
            measured.setdefault(layer.work.family, []).append((layer.work, milliseconds, number))
    roof = _roof([(work, taken) for each in measured.values() for work, taken, _ in each])
    return Calibration(
        processor=processor_name(),
        versions=_versions(),
        layers=sum(map(len, layers)),
        roof=roof,
        between=between,
        training=training,
        regressions={family: _fit(each, roof) for family, each in measured.items()},
    )


def _fit(measured: Sequence[tuple[Work, float, int]], roof: Roof) -> Regression:
    works, milliseconds, rows = zip(*measured, strict=True)
    return fit(works, milliseconds, rows, roof)


def _roof(measured: Sequence[tuple[Work, float]]) -> Roof:
    """The most that layers reached: arithmetic of those with weights, bandwidth of the others, where it is no noise."""
    rates = [work.macs / taken for work, taken in measured if work.family in WEIGHTED]
    moved = [w.nbytes / taken for w, taken in measured if w.family not in WEIGHTED and w.nbytes > _LEAST_BYTES]
    return Roof(macs=float(np.max(rates)), nbytes=float(np.quantile(moved, 0.98)) if moved else float(np.max(rates)))
