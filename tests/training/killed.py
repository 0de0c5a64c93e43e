"""Trains in a process of its own and kills it with SIGKILL at a step; run by test_resume.py.

usage: killed.py FOLDER NAME KILL_AT SETTINGS   (KILL_AT: a global step, or eN for the end of epoch N, or never)
"""

import json
import os
import signal
import sys
from pathlib import Path

from convlens.training import TrainConfig
from convlens.training.progress import Silence
from convlens.training.train import go_on, start


class Assassin(Silence):
    """Kills the process after a step, before its checkpoint, or after an epoch, before its checkpoint."""

    def __init__(self, when: str) -> None:
        self.when, self.steps = when, 0

    def begin(self, plan):
        self.steps = plan.steps

    def step(self, state):
        if self.when == str(state.epoch * self.steps + state.step):
            os.kill(os.getpid(), signal.SIGKILL)

    def epoch(self, row, kept):
        if self.when == f"e{row['epoch']}":
            os.kill(os.getpid(), signal.SIGKILL)


folder, name, when, settings = sys.argv[1:]
if (Path(folder) / name).exists():
    go_on(Path(folder) / name, {}, Assassin(when))
else:
    start(TrainConfig(**json.loads(settings), runs=folder, name=name), Assassin(when))
