"""From a folder of images to the network to take: candidates, limits, study, measurements, recommendation."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING, Any

from convlens.choosing.candidates import USUAL, expand
from convlens.choosing.costing import shortlist
from convlens.choosing.frontier import Frontier
from convlens.choosing.frontier_report import write_frontier
from convlens.choosing.limits import Limits
from convlens.choosing.study import StudyError, StudyFolder, check_same, is_study, open_study, open_trials
from convlens.data import Dataset, open_dataset
from convlens.errors import ConvlensError
from convlens.ranges import Range, check_range
from convlens.runs.busy import trained_by_us_alone
from convlens.training.interruption import requests_to_stop
from convlens.training.settings import settle

if TYPE_CHECKING:
    from convlens.choosing.searching import Begin, Progress, Runner

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DECIDED = ("network", "weights", "size", "name", "runs", "resume")  # by the study itself

Note = Callable[[str], None]
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A study that a signal stopped; the same call goes on with it."""

    study: Path
    signal: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a study is asked for; checked when it is made.

    Attributes:
        data: as `train` takes it.
        networks: names, patterns and ranges with commas between them.
        sizes: (height, width) of inputs; None stands for what the images have to show.
        limits: hard ones.
        weights: whether published weights that are on this machine make candidates of their own.
        seeds: trainings of each candidate that reaches the last rung.
        trials: candidates that are tried at most; None for all.
        budget: seconds for all trainings; None for no limit.
        study: the folder; None takes `runs/frontier/` and the name of the data.
        training: settings of `TrainConfig` for every training.

    Raises:
        ConvlensError: a value out of range, or a setting that the study decides itself.
    """

    data: str
    networks: str = USUAL
    sizes: tuple[Size | None, ...] = (None,)
    limits: Limits
    weights: bool = True
    seeds: int = 1
    trials: int | None = None
    budget: float | None = None
    study: Path | None = None
    training: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_range("seeds", self.seeds, Range(1, 100))
        check_range("trials", self.trials, Range(1))
        for size in self.sizes:
            check_range("sizes", size, Range(1, 65_536, "in pixels"))
        for name in _DECIDED:
            if name in self.training:
                raise ConvlensError(f"{name} is {self.training[name]!r}, which a study decides itself; leave it out")
        if self.training.get("recipe") in ("probe", "finetune"):
            raise ConvlensError(
                f"recipe is {self.training['recipe']!r}, which needs weights; candidates that have some are fine-tuned "
                "anyway, so leave it out, or give the recipe of the others: scratch, strong or a file"
            )


def read_budget(value: str | float | None) -> float | None:
    """Read a time: 90s, 30m, 2h, or a number of seconds.

    Raises:
        ConvlensError: what is not a time above 0.

    >>> read_budget("30m"), read_budget("1.5h"), read_budget(None)
    (1800.0, 5400.0, None)
    """
    if value is None:
        return None
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])?", str(value).strip().lower())
    seconds = float(parts[1]) * _UNITS[parts[2] or "s"] if parts else 0.0
    if seconds <= 0:
        raise ConvlensError(f"budget is {value!r}; use a time above 0, such as 90s, 30m or 2h")
    return seconds


def choose(
    asked: Asked,
    progress: "Progress",
    note: Note,
    run: "Runner | None" = None,
    begin: "Begin | None" = None,
) -> Frontier | Stopped:
    """Run a study, or go on with it, to its end.

    Args:
        asked: what for.
        progress: is told how it goes; see `choosing.searching.Progress`.
        note: takes what the user should know.
        run: computes one rung of one trial; None takes `run_rung`, in this process.
        begin: is told which trainings `run` will be asked for; None for nobody.

    Raises:
        ConvlensError: wrong input, a study of other images, or a package that is missing.
    """
    if find_spec("optuna") is None:
        raise ConvlensError("a study needs the package 'optuna'; pip install 'convlens[choose]'")
    from convlens.choosing.concluding import conclude
    from convlens.choosing.rung import run_rung
    from convlens.choosing.searching import Search

    names = expand(asked.networks)
    recipe = asked.training.get("recipe") or "scratch"
    config = settle({**asked.training, "data": asked.data, "network": names[0], "recipe": recipe})
    dataset = open_dataset(asked.data, max_bad=config.max_bad, exclude=config.exclude, columns=config.columns)
    if not dataset.splits.get("val"):
        raise ConvlensError(f"{asked.data} has no validation images to compare candidates by; add a folder val/")
    path = asked.study or Path("runs") / "frontier" / dataset.name
    settings = _settings(asked, names, dataset)
    folder = _folder(path, asked, dataset, names, settings, note)
    with trained_by_us_alone(path), requests_to_stop() as asked_to_stop:
        search = Search(
            folder=folder,
            trials=open_trials(folder, config.seed),
            seeds=asked.seeds,
            most=asked.trials or len(folder.within),
            budget=asked.budget,
            progress=progress,
            asked_to_stop=asked_to_stop,
            run=run or run_rung,
            begin=begin or (lambda _: None),
        )
        ended = search.go()
        if ended.stopped_by:
            return Stopped(study=path, signal=ended.stopped_by)
        try:
            found = conclude(folder, search, ended, _interruptible(note, asked_to_stop))
        except KeyboardInterrupt:
            return Stopped(study=path, signal=asked_to_stop() or SIGINT)
        write_frontier(found)
    return found


def _interruptible(note: Note, asked_to_stop: Callable[[], int]) -> Note:
    """What takes notes between measurements ends them once a signal asks for it."""

    def take(text: str) -> None:
        if asked_to_stop():
            raise KeyboardInterrupt
        note(text)

    return take


def _settings(asked: Asked, names: Sequence[str], dataset: Dataset) -> dict[str, Any]:
    """What decides a study's result, as plain values; budget and trials may differ when it goes on."""
    return {
        "networks": list(names),
        "sizes": [None if size is None else list(size) for size in asked.sizes],
        "limits": asked.limits.set(),
        "weights": asked.weights,
        "seeds": asked.seeds,
        "training": {
            name: list(value) if isinstance(value, tuple) else value for name, value in sorted(asked.training.items())
        },
        "training_images": len(dataset.records("train")),
        "validation_images": len(dataset.records("val")),
    }


def _folder(
    path: Path, asked: Asked, dataset: Dataset, names: tuple[str, ...], settings: Mapping[str, Any], note: Note
) -> StudyFolder:
    """The study's folder as it was begun, or a new one with the candidates that are within the limits."""
    if is_study(path):
        folder = open_study(path)
        check_same(folder, asked.data, dataset.fingerprint(), settings)
        note(f"going on with {path}")
        return replace(folder, data=asked.data)  # the same images may lie elsewhere now
    if path.exists() and (not path.is_dir() or any(not entry.name.startswith(".") for entry in path.iterdir())):
        raise StudyError(f"{path} is there already and is not a study; give another folder with --study")
    found = shortlist(asked.data, dataset, names, asked.sizes, asked.limits, with_weights=asked.weights, note=note)
    folder = StudyFolder(
        path=path,
        data=asked.data,
        fingerprint=dataset.fingerprint(),
        settings=settings,
        candidates={candidate.name: candidate for candidate in found.candidates},
        costs=found.costs,
        dropped=found.dropped,
    )
    folder.write()
    note(f"{len(folder.within)} candidates, {len(folder.dropped)} dropped before training")
    return folder
