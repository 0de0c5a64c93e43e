"""One of two processes that trains what test_ranks.py compares."""

import json
import os
import shutil
import signal

from convlens.training import train as training
from convlens.training.distributed.entry import run_rank
from convlens.training.progress import Silence

# Mixed images and a batch that two processes cannot halve, so that whatever depends on the place in a batch is seen.
PLAIN = {
    "data": "digits",
    "network": "lenet5",
    "batch": 301,
    "epochs": 2,
    "tune": False,
    "optimizer": "sgd",
    "mixup": 0.4,
    "cutmix": 1.0,
    "erasing": 0.3,
    "ema": 0.9,
    "augment": "none",
    "size": [32, 28],
}
# One step: after it a rounding may be enough to switch a ReLU, and no tolerance would be small.
NORMS = PLAIN | {"network": "resnet20", "epochs": 1, "batch": 1201, "size": [8, 9], "sync_batch_norm": True}
# Adam's moments and a clipped norm are of all stages.
PIPED = PLAIN | {"batch": 300, "epochs": 1, "pipeline": 2, "microbatches": 3, "optimizer": "adamw", "clip_norm": 1.0}


class Stopped(Silence):
    """Sends SIGTERM to the second process alone after so many steps."""

    def __init__(self, after):
        self.left = after

    def step(self, state):
        self.left -= 1
        if self.left == 0 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)


def main(folder):
    training.report_run = lambda *_: None  # whose pictures take longer than all trainings, and are those of one process
    runs = folder / "runs"

    def train(name, settings, watcher=None):
        return run_rank(settings | {"runs": str(runs), "name": name}, watcher=watcher).stopped_by

    first = os.environ["RANK"] == "0"
    if first:
        (folder / "trainings.json").write_text(json.dumps({"plain": PLAIN, "norms": NORMS}))
    train("plain", PLAIN)
    train("norms", NORMS)
    train("piped", PIPED)
    print(train("stopped", PLAIN, Stopped(4)))
    if first:
        shutil.copytree(runs / "stopped", runs / "for one")
    print(train("sharded", PLAIN | {"shard": True}, Stopped(3)))
    print(train("piped and stopped", PIPED, Stopped(2)))
    for name in ("stopped", "sharded", "piped and stopped"):
        print(run_rank({}, resume=runs / name).stopped_by)
