"""`convlens train`: its flags are the fields of `TrainConfig`."""

import json
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from convlens.cluster.trainings import train_on_ray
from convlens.commands.given_settings import given_settings
from convlens.errors import ConvlensError
from convlens.runs import RunFolder
from convlens.training.advice import is_guessing, when_guessing
from convlens.training.config import TrainConfig
from convlens.training.distributed.entry import run_rank
from convlens.training.distributed.launch import launched
from convlens.training.distributed.shared_trouble import TeamError
from convlens.training.progress import choose_watcher
from convlens.training.settings import settle
from convlens.training.several import Several, start_several
from convlens.training.train import Outcome, go_on, start


def train(
    data: str | None, *, config: Path | None, resume: str | None, seeds: int, ray: str | None, processes: int | None,
    min_processes: int | None, quiet: bool, json_: bool, **given: Any
) -> int:  # fmt: skip
    """Train a network on labelled images, and write a run folder for evaluation, prediction and export."""
    settings = given_settings(data, config, given)
    if launched() is not None:
        return _train_together(settings, resume, seeds, quiet, json_)
    if ray is not None:
        return _train_on_ray(settings, ray, processes, min_processes, resume, seeds, quiet, json_)
    if processes is not None or min_processes is not None:
        raise ConvlensError("--processes are those of a cluster; add --ray, or on one machine start with torchrun")
    if seeds != 1 and not resume:
        return _train_several(settle(settings), seeds, quiet, json_)
    watcher = choose_watcher(quiet)
    outcome = go_on(resume, settings, watcher) if resume else start(settle(settings), watcher)
    return _tell(outcome, quiet, json_)


def _train_together(settings: dict[str, Any], resume: str | None, seeds: int, quiet: bool, as_json: bool) -> int:
    """Be one of the processes that a launcher started; the first one tells."""
    if seeds != 1:
        raise ConvlensError(f"seeds is {seeds} in a training of several processes; train with one --seed after another")
    place = launched()
    first = place is not None and place.rank == 0
    try:
        outcome = run_rank(settings, resume=resume, watcher=choose_watcher(quiet) if first else None)
    except TeamError as error:
        if error.told:
            return error.exit_code
        raise
    if not first:
        return 128 + outcome.stopped_by if outcome.stopped_by else 0
    return _tell(outcome, quiet, as_json)


def _train_on_ray(
    settings: dict[str, Any],
    address: str,
    processes: int | None,
    min_processes: int | None,
    resume: str | None,
    seeds: int,
    quiet: bool,
    as_json: bool,
) -> int:
    if seeds != 1:
        raise ConvlensError(f"seeds is {seeds} in a training of several processes; train with one --seed after another")
    outcome = train_on_ray(
        settings,
        address=address,
        processes=processes or 1,
        min_processes=min_processes,
        resume=resume,
        say=(lambda _: None) if quiet else (lambda note: print(note, file=sys.stderr)),
    )
    return _tell(outcome, quiet, as_json)


def _tell(outcome: Outcome, quiet: bool, as_json: bool) -> int:
    if outcome.stopped_by:
        print(f"stopped; go on with: convlens train --resume {quote(outcome.place)}", file=sys.stderr)
        return 128 + outcome.stopped_by
    folder = outcome.folder
    if as_json:
        about = {"run": str(folder.path), "report": str(folder.path / "report.html")}
        print(json.dumps(about | dict(folder.description.result), ensure_ascii=False, indent=2))
    elif not quiet:
        _say_what_next(folder)
    return 0


def _train_several(config: TrainConfig, seeds: int, quiet: bool, as_json: bool) -> int:
    done = start_several(config, seeds, lambda: choose_watcher(quiet))
    if not isinstance(done, Several):
        print(f"stopped; go on with: convlens train --resume {quote(done.place)}", file=sys.stderr)
        return 128 + done.stopped_by
    if as_json:
        rows = [
            {"run": str(folder.path), "top1": top1} for folder, top1 in zip(done.folders, done.accuracies, strict=True)
        ]
        figures = {"runs": rows, "mean": done.mean, "low": done.low, "high": done.high}
        print(json.dumps(figures, ensure_ascii=False, indent=2))
        return 0
    for folder, accuracy in zip(done.folders, done.accuracies, strict=True):
        print(f"{accuracy:.2%}    {folder.path}")
    print(f"mean      {done.mean:.2%} (95 % interval {done.low:.2%} to {done.high:.2%}, {seeds} seeds)")
    return 0


def _say_what_next(folder: RunFolder) -> None:
    result = folder.description.result
    if "val_top1" in result["best"]:
        where = f"in epoch {result['best_epoch']}" if result["best_epoch"] else "by the probe"
        print(f"kept      {result['best']['val_top1']:.2%} on the validation images, {where}")
    held_out = result.get("held_out")
    if held_out and held_out["split"] == "test":
        print(
            f"test      {held_out['top1']:.2%} of {held_out['images']:,} images "
            f"(95 % interval {held_out['top1_low']:.2%} to {held_out['top1_high']:.2%})"
        )
    if held_out and is_guessing(held_out):
        print(
            f"beware    that is no better than guessing: the commonest class alone would be right on "
            f"{held_out['guessing']:.2%}; {when_guessing(TrainConfig.from_dict(folder.config))}"
        )
    print(f"run       {folder.path}")
    print(f"report    {folder.path / 'report.html'}")
    print(f"evaluate  convlens evaluate {quote(str(folder.path))} {quote(str(folder.config['data']))}")
    print(f"predict   convlens predict {quote(str(folder.path))} IMAGES")
