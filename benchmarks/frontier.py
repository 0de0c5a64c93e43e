"""Whether a study recommends what training everything would, at which cost, and what kills make it repeat.

Every candidate is trained to its end, which gives the most accurate one and the seconds that all trainings take. A
study of the same candidates is killed with SIGKILL at random moments, resumed, and run to its end. Shown are the
seconds of its trainings against those of all, the accuracy that its recommendation is below the most accurate,
with the exact McNemar test on the same images, and how many trainings that had come to their end were begun again.

usage: frontier.py [--quick] [--json] [--data digits] [--networks PATTERNS] [--sizes 16,24] [--epochs 30] [--kills 5]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from convlens.choosing.frontier import read_frontier
from convlens.choosing.rung import answers_of, run_rung
from convlens.choosing.searching import config_of
from convlens.choosing.significance import mcnemar
from convlens.choosing.study import open_study

NETWORKS = "lenet5,lenet5_1998,mlp,resnet20,resnet32,resnet44,resnet18,mobilenet_v2,efficientnet_lite0,efficientnet_b0"
KILL_AFTER = (3.0, 25.0)  # seconds from the start of a process


def launch(folder: Path, given: argparse.Namespace) -> subprocess.Popen[str]:
    """The command as a user types it, in a process of its own."""
    words = ["frontier", given.data, "--networks", given.networks, "--sizes", given.sizes, "--no-weights"]
    words += ["--epochs", str(given.epochs), "--no-tune", "--study", str(folder), "--json"]
    command = [sys.executable, "-m", "convlens", *words]
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished_at(folder: Path) -> dict[str, float]:
    """When each run that came to its end wrote its last weights: written again, it was trained again."""
    return {
        path.parent.name: (path.parent / "weights" / "last.safetensors").stat().st_mtime
        for path in folder.glob("runs/*/held_out.json")
    }


def survive(folder: Path, given: argparse.Namespace) -> tuple[int, int]:
    """Kill a study so many times, then let it end; return the kills and the trainings that were done again."""
    chance, killed, repeated = random.Random(0), 0, 0
    known: dict[str, float] = {}
    while True:
        process = launch(folder, given)
        if killed < given.kills:
            try:
                process.wait(chance.uniform(*KILL_AFTER))
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
        _, said = process.communicate()
        now = finished_at(folder)
        repeated += sum(now[name] != moment for name, moment in known.items())
        known = now
        if process.returncode == 0:
            return killed, repeated
        if process.returncode > 0:
            raise SystemExit(f"the study failed:\n{said}")


def train_all(folder: Path, study: Path) -> dict[str, dict[str, Any]]:
    """Train every candidate of a study to its end, elsewhere; name -> what it answered, with the seconds."""
    of = replace(open_study(study), path=folder)
    done = {}
    for number, name in enumerate(of.within, 1):
        print(f"training all: {number}/{len(of.within)} {name}", file=sys.stderr)
        config = config_of(of, name)
        began = time.monotonic()
        found = run_rung(config.to_dict(), config.epochs, True)
        done[name] = (answers_of(found["run"]) or {}) | {"seconds": time.monotonic() - began}
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="one small network, two sizes, three epochs, one kill: that it works"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--sizes", default="16,24")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    if given.quick:
        given.networks, given.sizes, given.epochs, given.kills = "lenet5", "16,20", 3, 1
    with tempfile.TemporaryDirectory(prefix="convlens-frontier-") as place:
        study, everything = Path(place) / "study", Path(place) / "all"
        killed, repeated = survive(study, given)
        found = read_frontier(study)
        every = train_all(everything, study)
    best = max(every, key=lambda name: every[name]["top1"])
    taken = every[found.recommended]
    ours, theirs = set(taken["mistakes"]), set(every[best]["mistakes"])
    p = mcnemar(len(ours - theirs), len(theirs - ours))
    seconds = sum(each["seconds"] for each in every.values())
    rows = [
        row(f"trainings of {len(every)} candidates", found.seconds, seconds, "s"),
        row(f"accuracy: {found.recommended} against {best}", 100 * taken["top1"], 100 * every[best]["top1"], "%"),
        row("p of that difference (exact McNemar), against its level", p, 0.05, ""),
        row(f"finished trainings repeated after {killed} kills", float(repeated), 0.0, ""),
    ]
    if given.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    for each in rows:
        ratio = "" if each["ratio"] is None else f"  ratio {each['ratio']:.3f}"
        print(f"{each['what']}: {each['ours']:.4g} {each['unit']} against {each['peer']:.4g} {each['unit']}{ratio}")
    print(f"the study ended because {found.stopped_because}")


def row(what: str, ours: float, peer: float, unit: str) -> dict[str, Any]:
    return {"what": what, "ours": ours, "peer": peer, "unit": unit, "ratio": ours / peer if peer else None}


if __name__ == "__main__":
    main()
