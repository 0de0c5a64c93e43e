"""From a configuration to a finished run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convlens import runs
from convlens.data.reaching import is_address
from convlens.training.config import TrainConfig
from convlens.training.interruption import requests_to_stop
from convlens.training.job import Job, prepare, resume
from convlens.training.loop import begin_with_probe, fit
from convlens.training.progress import Plan, Watcher
from convlens.training.remote_runs import Mirror, fetched
from convlens.training.run_report import report_run
from convlens.training.speed.freed_memory import keeping_freed_memory
from convlens.training.speed.numerics import computing
from convlens.training.speed.speed_search import opening
from convlens.training.state import State
from convlens.training.team import ALONE, Team
from convlens.training.tracking import Both, tracked

_FORWARDED_SECONDS = 2.0  # in which a launcher passes a signal on that has come already


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training ended.

    Attributes:
        folder: its run, on this machine.
        stopped_by: the signal that stopped it, 0 if it reached its end.
        address: where the run is kept, if that is behind one.
    """

    folder: runs.RunFolder
    stopped_by: int
    address: str | None = None

    @property
    def place(self) -> str:
        """From where the training can go on."""
        return self.address or str(self.folder.path)


def start(config: TrainConfig, watcher: Watcher, team: Team = ALONE, *, until: int | None = None) -> Outcome:
    """Train from the beginning in a new run folder, to its end or for `until` epochs, after which `go_on` goes on."""
    with watcher, keeping_freed_memory():
        job, state = prepare(config, watcher.say, team)
        try:
            with team.alone_in(job.folder.path):
                address = f"{config.runs.rstrip('/')}/{job.folder.path.name}" if is_address(config.runs) else None
                return _train(job, state, watcher, until, address)
        except BaseException:
            if team.writes:
                job.folder.discard()
            raise


def go_on(
    path: str | Path, given: Mapping[str, Any], watcher: Watcher, team: Team = ALONE, *, until: int | None = None
) -> Outcome:
    """Go on with an interrupted run, to the same weights that it would have had without the interruption.

    Args:
        path: the run folder, or its address.
        given: settings that may differ from the run's own.
        watcher: is told what happens.
        team: who trains.
        until: epochs after which it is interrupted again; None for the end.

    Raises:
        RunError: a run that another process is training at the moment.
    """
    address = str(path) if is_address(path) else None
    here = fetched(address, keep=team.writes) if address else Path(path)
    if not address:
        team.check_shared(here)
    with watcher, keeping_freed_memory(), team.alone_in(runs.open_folder(here, weights=False).path):
        return _train(*resume(here, given, watcher.say, team), watcher, until, address)


def _train(job: Job, state: State, watcher: Watcher, until: int | None, address: str | None) -> Outcome:
    watcher.say(_opening(job, state))
    mirror = Mirror(job.folder.path, address) if address and job.team.writes else None
    if mirror:
        mirror.send()  # an address that cannot be written to is said before anything is computed
    steps = job.train_loader.steps
    done = state.epoch * steps + state.step
    watcher.begin(Plan(epochs=job.config.epochs, steps=steps, batch=job.config.images_per_step, done=done))
    with (
        requests_to_stop(patience=0.0 if job.team.size == 1 else _FORWARDED_SECONDS) as asked_to_stop,
        job.team.computing(job.network),
        computing(job.network, job.numerics, recompute=job.config.recompute),
        tracked(watcher, job.config.log if job.team.writes else "none", job.folder) as watchers,
    ):
        told = Both(watchers, mirror) if mirror else watchers
        begin_with_probe(job, state, told)
        signal = fit(job, state, told, asked_to_stop, until=until)
    note = job.team.farewell()
    if note:
        watcher.say(note)
    result = {
        "status": "finished" if signal is None else "stopped",
        "epochs": state.epoch,
        "best_epoch": state.best["epoch"] if state.best else None,
        "best": dict(state.best or {}),
    }
    description = replace(job.folder.description, result=result)
    if not job.team.writes:
        return Outcome(folder=replace(job.folder, description=description), stopped_by=signal or 0, address=address)
    folder = job.folder.write_description(description)
    if signal is None:
        folder = _measure(folder, job)
    if mirror:
        mirror.send()
        watcher.say(f"kept at {address}")
    return Outcome(folder=folder, stopped_by=signal or 0, address=address)


def _measure(folder: runs.RunFolder, job: Job) -> runs.RunFolder:
    """Write the report, and what the best weights reach on held-out images into the description."""
    done = report_run(folder, job.train_loader, str(job.device))
    if done is None:
        return folder
    held_out = {
        "split": done.split,
        "images": done.images,
        "top1": done.top1,
        "top1_low": done.top1_low,
        "top1_high": done.top1_high,
        "guessing": done.guessing,
    }
    result = {**folder.description.result, "held_out": held_out}
    return folder.write_description(replace(folder.description, result=result))


def _opening(job: Job, state: State) -> str:
    """One line: what is trained on what, and how."""
    network, numerics = job.folder.description.network, job.numerics
    images = len(job.train_loader.records)
    height, width = network.size
    line = (
        f"{network.name} on {images:,} images of {network.classes} classes at {height}×{width}×{network.channels}, "
        f"{numerics.device}, {opening(numerics)}{job.team.about}"
    )
    return line if state.epoch == state.step == 0 else f"{line}; going on at epoch {state.epoch + 1}, step {state.step}"
