"""One of two processes whose trainings one of them stops; a line a case."""

import os

import numpy as np
import torch.distributed as dist
from PIL import Image

from convlens.errors import ConvlensError
from convlens.training.distributed import meeting
from convlens.training.distributed.entry import run_rank
from convlens.training.step import Step

SMALL = {"data": "digits", "network": "lenet5", "batch": 400, "epochs": 1, "tune": False}


def case(settings):
    try:
        run_rank(settings)
    except ConvlensError as error:
        print(f"{error.exit_code} {error}", flush=True)
    except ValueError as error:
        print(f"raised {error}", flush=True)
    if dist.is_initialized():
        dist.destroy_process_group()


def draw_photos(folder):
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def main(folder):
    rank, small = int(os.environ["RANK"]), SMALL | {"runs": str(folder / "stopped")}
    machine = folder / f"machine{rank}"  # the data and the runs of the two are not the same
    machine.mkdir()
    if rank == 0:
        draw_photos(machine / "photos")
    os.chdir(machine)
    own = meeting.__version__
    meeting.__version__ = f"0.{rank}"
    case(small)
    meeting.__version__ = own
    case(small | {"runs": "here"})
    plain = Step.__call__

    def to_nan(self, *arguments):
        return plain(self, *arguments) * (float("nan") if rank == 1 else 1.0)

    def to_error(self, *arguments):
        if rank == 1:
            raise ValueError("a mistake of ours")
        return plain(self, *arguments)

    for step in (to_nan, to_error):
        Step.__call__ = step
        case(small)
    Step.__call__ = plain
    case(small | {"data": "photos"})
