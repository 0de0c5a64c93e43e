"""What the `strong` recipe reaches on held-out images beside the default one, as a mean over seeds with its interval.

Every training is `convlens.train` with network, recipe and seed given, in float32, so that it can be repeated. Every
figure is the accuracy of the weights it kept on the test split, which took no part in the training: neither in the
gradients nor in choosing the epoch. The peer is the default recipe. Mean and 95 % interval over the seeds are those of
`convlens train --seeds`.

With --runs the runs are kept, those that are there are taken as they are, and one that was cut goes on: the whole takes
hours on one processor. Give one thread a process (OMP_NUM_THREADS=1) where several trainings share a machine.

usage: recipes.py [--quick] [--json] [--networks lenet5,resnet20] [--seeds 5] [--epochs N] [--size N] [--data digits]
                  [--runs FOLDER]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import convlens
from convlens.training.several import student_interval

NETWORKS = ("lenet5", "resnet20")
OURS, PEER = "strong", "scratch"  # scratch is what `auto`, the default, takes where no weights are given


def trained(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train, or take the run that is there already, and give what it reached on held-out images."""
    name = "-".join(str(settings[key]) for key in ("network", "recipe", "seed"))
    path = folder / name
    if not path.exists():
        run = convlens.train(**settings, runs=str(folder), name=name, quiet=True)
    else:
        run = convlens.open_run(path)
        asked = {**settings, "runs": str(folder), "name": name}
        if any(run.folder.config[key] != value for key, value in asked.items() if key != "size"):
            sys.exit(f"recipes.py: {path} is a run with other settings; remove it, or choose another --runs")
        if run.result.get("status") != "finished":
            run = convlens.resume(path, quiet=True)
    return {**run.result["held_out"], "epochs": run.result["epochs"], "best_epoch": run.result["best_epoch"]}


def measure(network: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One row: both recipes over the same seeds, in turn."""
    reached: dict[str, list[float]] = {OURS: [], PEER: []}
    for seed in range(arguments.seeds):
        for recipe, values in reached.items():
            settings = {"data": arguments.data, "network": network, "recipe": recipe, "seed": seed, "tune": False}
            given = {"epochs": arguments.epochs, "size": arguments.size}
            settings |= {key: value for key, value in given.items() if value is not None}
            done = trained(settings, folder)
            values.append(100 * done["top1"])
            print(
                f"{network}  {recipe:8} seed {seed}  {values[-1]:.2f} % of {done['images']} {done['split']} images "
                f"(epoch {done['best_epoch']} of {done['epochs']})",
                file=sys.stderr,
                flush=True,
            )
    (ours, *our_interval), (peer, *peer_interval) = (student_interval(reached[recipe]) for recipe in (OURS, PEER))
    return {
        "what": f"{network}{f' at {arguments.size} px' if arguments.size else ''} on {done['images']} {done['split']} "
        f"images of {arguments.data}, {OURS} beside {PEER}, mean of {arguments.seeds} seeds",
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "unit": "% right",
        "ratio": round(ours / peer, 4),
        "ours_interval": [round(min(max(end, 0), 100), 2) for end in our_interval],
        "peer_interval": [round(min(max(end, 0), 100), 2) for end in peer_interval],
        "ours_each": [round(value, 2) for value in reached[OURS]],
        "peer_each": [round(value, 2) for value in reached[PEER]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="lenet5, two seeds, three epochs: that it works, no more")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, …; at least 2")
    parser.add_argument("--epochs", type=int, help="for both recipes; each recipe's own if not given")
    parser.add_argument("--size", type=int, help="of the input in pixels; chosen from the images if not given")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--runs", type=Path, help="folder to keep the runs in, and to go on from")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.networks, arguments.seeds, arguments.epochs = "lenet5", 2, 3
    if arguments.seeds < 2:
        parser.error("an interval needs at least 2 seeds")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.runs or Path(temporary)
        rows = [measure(network, arguments, folder) for network in arguments.networks.split(",")]
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    for row in rows:
        (low, high), (peer_low, peer_high) = row["ours_interval"], row["peer_interval"]
        print(
            f"{row['what']}: {row['ours']:.2f} ({low:.2f} to {high:.2f}) against "
            f"{row['peer']:.2f} ({peer_low:.2f} to {peer_high:.2f}) {row['unit']}"
        )


if __name__ == "__main__":
    main()
