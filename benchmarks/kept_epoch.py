"""What it costs to keep the epoch that is best on few validation images, beside the latest within one standard error.

LeNet-5 is trained on the digits with the default recipe, and after every epoch it answers all validation and test
images. From these answers, and from subsets of the validation images drawn at random, it follows which epoch either
rule would have kept, and what that epoch reaches on the test images. The peer keeps the best accuracy and, of equal
ones, the smallest log loss. Both choose among the same epochs of the same trainings.

usage: kept_epoch.py [--quick] [--json] [--seeds 5] [--overfit]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlens import data, runs
from convlens.training.progress import Silence
from convlens.training.selection import keeps
from convlens.training.settings import settle
from convlens.training.train import start

SIZES = (10, 20, 40, 80, 160)
DRAWS = 300
# nothing that holds overfitting back, and twice the time for it
OVERFIT = {"augment": "none", "label_smoothing": 0.0, "weight_decay": 0.0, "epochs": 60, "lr": 0.003}


class Answers(Silence):
    """Takes down, after every epoch, the probability of the right class and whether it is the largest."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dataset = folder, data.open_dataset("digits")
        self.right: dict[str, list[NDArray[np.bool_]]] = {"val": [], "test": []}
        self.probability: dict[str, list[NDArray[np.float32]]] = {"val": [], "test": []}

    def epoch(self, row: Mapping[str, Any], kept: bool) -> None:  # noqa: ARG002
        """Let the network of this epoch answer."""
        from convlens.predicting import torch_predictor

        run = runs.open_folder(self.folder)
        predictor = torch_predictor(run.load_network("last"), run.classes, run.preprocessing, device="cpu")
        for split, right in self.right.items():
            records, labels = self.dataset.records(split), self.dataset.labels(split)
            images = [run.preprocessing.apply(self.dataset.read(record, channels=1)) for record in records]
            answers = predictor.probabilities(np.stack(images))
            right.append(answers.argmax(axis=1) == labels)
            self.probability[split].append(answers[np.arange(len(labels)), labels])


def choose(right_EN: NDArray[np.bool_], probability_EN: NDArray[np.float32]) -> tuple[int, int]:
    """The epochs that our rule and the peer's keep, from the answers of E epochs to N validation images."""
    losses = -np.log(probability_EN.clip(1e-9)).mean(axis=1)
    rows = [
        {"val_top1": float(top1), "val_log_loss": float(loss)}
        for top1, loss in zip(right_EN.mean(axis=1), losses, strict=True)
    ]
    ours = max(i for i in range(len(rows)) if keeps(rows[i], rows[:i], "top1", right_EN.shape[1]))
    peer = max(range(len(rows)), key=lambda i: (rows[i]["val_top1"], -rows[i]["val_log_loss"]))
    return ours, peer


def measure(seeds: int, settings: Mapping[str, Any]) -> list[dict[str, object]]:
    """A row for each number of validation images."""
    reached: dict[int, list[tuple[float, float]]] = {size: [] for size in SIZES}
    generator = np.random.default_rng(0)
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as temporary:
            answers = Answers(Path(temporary) / "run")
            given = {"data": "digits", "network": "lenet5", "seed": seed, "tune": False, "name": "run"}
            start(settle(given | {"runs": temporary} | settings), answers)
        right, probability = np.stack(answers.right["val"]), np.stack(answers.probability["val"])
        test = 100 * np.stack(answers.right["test"]).mean(axis=1)
        for size, pairs in reached.items():
            for _ in range(DRAWS):
                chosen = generator.permutation(right.shape[1])[:size]
                ours, peer = choose(right[:, chosen], probability[:, chosen])
                pairs.append((float(test[ours]), float(test[peer])))
        print(f"seed {seed}: {test[-1]:.2f} % after the last epoch", file=sys.stderr, flush=True)
    rows: list[dict[str, object]] = []
    for size, pairs in reached.items():
        ours, peer = (float(value) for value in np.mean(pairs, axis=0))
        rows.append(
            {
                "what": f"lenet5 on digits, the epoch kept by {size} validation images, mean of {seeds} seeds",
                "ours": round(ours, 2),
                "peer": round(peer, 2),
                "unit": "% of test images right",
                "ratio": round(ours / peer, 4),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--overfit", action="store_true", help="without all that holds overfitting back")
    arguments = parser.parse_args()
    settings: dict[str, Any] = dict(OVERFIT) if arguments.overfit else {}
    if arguments.quick:
        arguments.seeds, settings["epochs"] = 1, 2
    rows = measure(arguments.seeds, settings)
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    for row in rows:
        print(f"{row['what']}: {row['ours']:.2f} against {row['peer']:.2f} {row['unit']}")


if __name__ == "__main__":
    main()
