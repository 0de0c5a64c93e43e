"""One of two processes whose trainings one of them stops; a line a case. usage: stopped_together.py FOLDER RUNS"""

import os
import sys

import torch.distributed as dist

from convlens.errors import ConvlensError
from convlens.training.distributed import meeting
from convlens.training.distributed.entry import run_rank
from convlens.training.step import Step

RANK = int(os.environ["RANK"])
SMALL = {"data": "digits", "network": "lenet5", "batch": 400, "epochs": 1, "tune": False, "runs": sys.argv[2]}


def case(settings):
    try:
        run_rank(settings)
    except ConvlensError as error:
        print(f"{error.exit_code} {error}", flush=True)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    own = meeting.__version__
    meeting.__version__ = f"0.{RANK}"
    case(SMALL)
    meeting.__version__ = own
    os.chdir(sys.argv[1])  # the data and the runs of the two are not the same
    case(SMALL | {"runs": "here"})
    plain = Step.__call__

    def step(self, *arguments):
        return plain(self, *arguments) * (float("nan") if RANK == 1 else 1.0)

    Step.__call__ = step
    case(SMALL)
    Step.__call__ = plain
    case(SMALL | {"data": "photos"})
