"""The study folder: what was asked for, on which data, and Optuna's journal of every trial."""

import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlens import files
from convlens.choosing.candidates import Candidate
from convlens.choosing.limits import Costs
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    import optuna

_FORMAT = 1
_STUDY, _JOURNAL = "study.json", "optuna.journal"


class StudyError(ConvlensError):
    """A study folder that is not whole, or does not fit what is asked of it."""


@dataclass(frozen=True, kw_only=True)
class StudyFolder:
    """A study: a folder with one run for each candidate that was trained.

    Attributes:
        path: the folder.
        data: as the user named the images.
        fingerprint: of the images.
        settings: what decides the result: patterns, sizes, limits, training settings, seeds.
        candidates: by name, those that were dropped, too.
        costs: of every candidate, by name, as counted before training.
        dropped: name -> why it was not trained.
    """

    path: Path
    data: str
    fingerprint: str
    settings: Mapping[str, Any]
    candidates: Mapping[str, Candidate]
    costs: Mapping[str, Costs]
    dropped: Mapping[str, str]

    @property
    def within(self) -> tuple[str, ...]:
        """The names of the candidates that are within the limits."""
        return tuple(name for name in self.candidates if name not in self.dropped)

    @property
    def runs(self) -> Path:
        """Where the run folders are."""
        return self.path / "runs"

    def write(self) -> None:
        """Write `study.json`, whole or not at all."""
        content = {
            "format": _FORMAT,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "settings": dict(self.settings),
            "candidates": {name: asdict(candidate) for name, candidate in self.candidates.items()},
            "costs": {name: asdict(costs) for name, costs in self.costs.items()},
            "dropped": dict(self.dropped),
        }
        files.write_json(self.path / _STUDY, content)


def is_study(path: str | Path) -> bool:
    """Whether `path` is a folder that looks like a study."""
    return (Path(path) / _STUDY).is_file()


def open_study(path: str | Path) -> StudyFolder:
    """Open a study folder.

    Raises:
        StudyError: it is none, or its description cannot be read.
    """
    file = Path(path) / _STUDY
    if not file.is_file():
        raise StudyError(f"{str(path)!r} is not a study; give the folder that convlens frontier printed")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise StudyError(
                f"{file} has format {content['format']!r}, this Convlens reads {_FORMAT}; start a new study"
            )
        return StudyFolder(
            path=Path(path),
            data=content["data"],
            fingerprint=content["fingerprint"],
            settings=content["settings"],
            candidates={
                name: Candidate(**values | {"size": tuple(values["size"])})
                for name, values in content["candidates"].items()
            },
            costs={name: Costs(**values) for name, values in content["costs"].items()},
            dropped=content["dropped"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{file} cannot be understood ({error}); remove the folder and start again") from None


def check_same(folder: StudyFolder, data: str, fingerprint: str, settings: Mapping[str, Any]) -> None:
    """Stop unless a study is of these data and was asked the same.

    Raises:
        StudyError: naming what differs.
    """
    if folder.fingerprint != fingerprint:
        raise StudyError(
            f"{folder.path} is a study of other images ({folder.data}, fingerprint {folder.fingerprint[:12]}) than "
            f"{data} ({fingerprint[:12]}); give those, or another folder with --study"
        )
    for name in {**folder.settings, **settings}:
        was, now = folder.settings.get(name), settings.get(name)
        if was != now:
            raise StudyError(
                f"{folder.path} was begun with {name} {_shown(was)} and cannot go on with {_shown(now)}; "
                "ask the same, or give another folder with --study"
            )


def open_trials(folder: StudyFolder, seed: int) -> "optuna.study.Study":
    """Open Optuna's study of a folder, in which every candidate waits in the order that the seed decides.

    The caller holds the folder for itself, so the journal needs no lock, which a kill would leave behind.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from convlens.choosing.halving import FrontierHalving

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = folder.path / _JOURNAL
    _drop_half_a_line(journal)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal), lock_obj=_Held())),
        study_name="frontier",
        direction="maximize",
        pruner=FrontierHalving(),
        sampler=optuna.samplers.RandomSampler(seed=seed),
        load_if_exists=True,
    )
    known = {trial.user_attrs["candidate"] for trial in study.get_trials(deepcopy=False)}
    for name in in_order(folder.within, seed):
        if name not in known:
            costs = folder.costs[name]
            attributes = {"candidate": name, "parameters": costs.parameters, "macs": costs.macs}
            study.enqueue_trial({"candidate": name}, user_attrs=attributes)
    return study


def in_order(names: Sequence[str], seed: int) -> list[str]:
    """The order in which candidates are tried: the same for the same seed."""
    order = sorted(names)
    random.Random(seed).shuffle(order)
    return order


class _Held:
    """The lock of a journal whose folder is locked already."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def _drop_half_a_line(journal: Path) -> None:
    """A kill or a full disk may cut the last line of the journal: what it said had not happened yet."""
    with suppress(FileNotFoundError):
        content = journal.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            files.write_bytes(journal, whole)


def _shown(value: Any) -> str:
    return "nothing" if value in (None, {}, []) else json.dumps(value, ensure_ascii=False)
