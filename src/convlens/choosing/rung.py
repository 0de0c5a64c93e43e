"""One rung of one trial: a training taken up where it was left, and left again a few epochs later.

Everything goes in and out as plain values, so that a rung can be computed in another process or on another machine that
sees the study's folder.
"""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convlens import files, runs
from convlens.data import open_dataset
from convlens.errors import ConvlensError
from convlens.evaluation import evaluate
from convlens.evaluation.evaluation import choose_split
from convlens.predicting import torch_predictor
from convlens.training.config import TrainConfig
from convlens.training.progress import Silence, Watcher
from convlens.training.train import go_on, start

_ANSWERS = "held_out.json"


def run_rung(settings: Mapping[str, Any], until: int, held_out: bool, watcher: Watcher | None = None) -> dict[str, Any]:
    """Train a run up to a number of epochs; epochs that it has are not trained again.

    Args:
        settings: all of `TrainConfig`, as plain values; `runs` and `name` say where the run folder is.
        until: epochs; 0 for the probe alone.
        held_out: whether to ask it about the held-out images afterwards.
        watcher: is told how the training goes.

    Returns:
        `run`: the folder; `epochs`: that it has now; `top1`: the best on the validation images so far, None where the
        network has no head to be probed; `seconds`: that this took; `stopped_by`: the signal that interrupted it, 0
        for none.
    """
    began = time.monotonic()
    config = TrainConfig.from_dict(settings)
    path = Path(config.runs) / str(config.name)
    watcher = watcher or Silence()
    stopped_by = 0
    if not runs.is_run(path):
        shutil.rmtree(path, ignore_errors=True)  # cut before it was described
        stopped_by = start(config, watcher, until=until).stopped_by
    elif not _has(path, until, config.epochs):
        stopped_by = go_on(path, {"data": config.data}, watcher, until=until).stopped_by
    folder = runs.open_folder(path)
    if held_out and not stopped_by:
        _ask_held_out(folder, config)
    rows = folder.metrics()
    if rows and "val_top1" not in rows[-1]:
        raise ConvlensError(f"{config.data} has no validation images to compare candidates by; add a folder val/")
    return {
        "run": str(path),
        "epochs": int(rows[-1]["epoch"]) if rows else 0,
        "top1": max((float(row["val_top1"]) for row in rows), default=None),
        "seconds": time.monotonic() - began,
        "stopped_by": stopped_by,
    }


def answers_of(path: str | Path) -> dict[str, Any] | None:
    """What a run answered on the held-out images: split, images, top1, its interval, mistakes; None if not asked."""
    file = Path(path) / _ANSWERS
    if not file.is_file():
        return None
    answers: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return answers


def _has(path: Path, until: int, epochs: int) -> bool:
    """Whether a run has these epochs or, if it came to its end, its report."""
    folder = runs.read_folder(path)
    if until >= epochs or folder.description.result.get("status") == "finished":
        return bool(folder.description.result.get("held_out"))
    rows = folder.metrics()
    return folder.checkpoint_path.exists() and bool(rows) and int(rows[-1]["epoch"]) >= until


def _ask_held_out(folder: runs.RunFolder, config: TrainConfig) -> None:
    """Write what the run's best weights answer on the test images or, without any, on the validation images."""
    epochs = folder.description.result.get("epochs")
    known = answers_of(folder.path)
    if known and known["epochs"] == epochs:
        return
    dataset = open_dataset(config.data, max_bad=config.max_bad, exclude=config.exclude, columns=config.columns)
    predictor = torch_predictor(folder.load_network(), folder.classes, folder.preprocessing, device=config.device)
    done = evaluate(predictor, dataset, choose_split(dataset, None))
    content = {
        "epochs": epochs,
        "split": done.split,
        "images": done.images,
        "top1": done.top1,
        "top1_low": done.top1_low,
        "top1_high": done.top1_high,
        "mistakes": [mistake.file for mistake in done.mistakes],
    }
    files.write_json(folder.path / _ANSWERS, content)
