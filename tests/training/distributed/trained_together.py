"""One of several processes that trains what test_ranks.py asks for; usage: trained_together.py FOLDER."""

import json
import os
import signal
import sys
from pathlib import Path

from convlens.training.distributed.entry import run_rank
from convlens.training.progress import Silence

RANK = int(os.environ["RANK"])


class Stopped(Silence):
    """Sends SIGTERM to the second process alone after so many steps."""

    def __init__(self, after):
        self.left = after

    def step(self, state):
        self.left -= 1
        if self.left == 0 and RANK == 1:
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, settings in json.loads((folder / "trainings.json").read_text()).items():
        run_rank(settings | {"runs": str(folder / "together"), "name": name})
    settings = json.loads((folder / "trainings.json").read_text())["plain"]
    stopped = run_rank(settings | {"runs": str(folder / "together"), "name": "stopped"}, watcher=Stopped(4))
    print(stopped.stopped_by)
    sharded = settings | {"runs": str(folder / "together"), "name": "sharded", "shard": True}
    run_rank(sharded, watcher=Stopped(3))
    run_rank({}, resume=folder / "together" / "sharded")
    if RANK == 0:
        import shutil

        shutil.copytree(folder / "together" / "stopped", folder / "together" / "for one")
    print(run_rank({}, resume=folder / "together" / "stopped").stopped_by)
