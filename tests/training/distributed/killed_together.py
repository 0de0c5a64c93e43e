"""One of two processes of a training, of which the second is killed in the middle."""

import os
import signal

from convlens.errors import ConvlensError
from convlens.training.distributed.entry import run_rank
from convlens.training.progress import Silence


class Killed(Silence):
    def step(self, state):
        if state.step == 2 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder):
    settings = {"data": "digits", "network": "lenet5", "batch": 100, "epochs": 9, "tune": False}
    try:
        run_rank(settings | {"runs": str(folder / "killed")}, watcher=Killed())
    except ConvlensError as error:
        print(f"{error.exit_code} {error}")
