"""Kill a training with SIGKILL at random moments, with everything switched on, and compare the end to the bit.

One training runs undisturbed. The other is killed 20 times, each time after a random number of seconds, resumed with 0
or 2 loading threads in turn, and in the end run to its end. Weights and metrics of both must be the same, bit for bit.

usage: resume.py [--quick] [--json] [--kills N]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from convlens import runs

SETTINGS = [
    "--network",
    "resnet20",
    "--epochs",
    "6",
    "--batch",
    "96",
    "--no-tune",
    "--precision",
    "bfloat16",
    "--threads",
    "1",
    "--checkpoint-steps",
    "3",
    "--optimizer",
    "lamb",
    "--policy",
    "trivial",
    "--jitter",
    "0.2",
    "--mixup",
    "0.2",
    "--cutmix",
    "1.0",
    "--erasing",
    "0.2",
    "--repeats",
    "2",
    "--balance",
    "sampling",
    "--ema",
    "0.99",
    "--accumulate",
    "2",
    "--freeze-epochs",
    "1",
    "--layer-decay",
    "0.8",
]


def launch(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "convlens", "train", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)


def wait_for_the_start(process: subprocess.Popen[str]) -> bool:
    """Read until the training has begun; False if the process ended before."""
    assert process.stderr is not None
    return any("images of" in line for line in process.stderr)


def survive(folder: Path, kills: int) -> int:
    """Kill a training so many times, or until it ends, then let it end; return how often it was killed."""
    generator, killed = random.Random(), 0
    words = ["digits", *SETTINGS, "--runs", str(folder), "--name", "killed"]
    while killed < kills:
        process = launch(*words)
        if not wait_for_the_start(process):
            break
        time.sleep(generator.uniform(0.0, 2.5))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
        words = ["--resume", str(folder / "killed"), "--workers", str(2 * (killed % 2))]
    launch(*words).communicate()
    return killed


def same(first: Path, second: Path) -> bool:
    """Whether two runs ended with the same weights and metrics, to the bit; speeds are no result."""
    for which in ("best", "last"):
        ours, theirs = (load_file(folder / "weights" / f"{which}.safetensors") for folder in (first, second))
        if ours.keys() != theirs.keys() or not all(torch.equal(ours[name], theirs[name]) for name in ours):
            return False
    rows = [
        [{k: v for k, v in row.items() if k != "images_per_second"} for row in runs.open_folder(folder).metrics()]
        for folder in (first, second)
    ]
    return rows[0] == rows[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 kills")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        launch("digits", *SETTINGS, "--runs", str(folder), "--name", "whole").communicate()
        killed = survive(folder, 2 if arguments.quick else arguments.kills)
        equal = same(folder / "whole", folder / "killed")
    if arguments.json:
        row = {"what": "SIGKILLs after which the end is the same to the bit", "ours": killed if equal else 0}
        print(json.dumps({"rows": [row | {"peer": None, "unit": "kills", "ratio": None}]}, indent=2))
    else:
        print(f"{killed} kills; weights and metrics {'are the same to the bit' if equal else 'DIFFER'}")
    return 0 if equal and killed else 1


if __name__ == "__main__":
    sys.exit(main())
