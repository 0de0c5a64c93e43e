"""Train the small networks that come with the explorer, and the two of its shift experiment.

    python benchmarks/explorer_networks.py [--fashion FOLDER] [--quick] [--json]

FOLDER holds Fashion-MNIST's four IDX files (Xiao et al. 2017, MIT licence; Debian's package dataset-fashion-mnist).
Writes src/convlens/explorer/trained/: LeNet-5 on scikit-learn's digits, a residual network of eight layers on
Fashion-MNIST's photographs of clothes, both as safetensors with what they were trained on inside; clothes.png, a test
photograph of each class; and shifts.json, the accuracy of two networks that were trained on digits that never moved.
"""

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import convlens
from convlens.data import open_dataset
from convlens.explorer.shifting import SHIFTS, measure
from convlens.images import Preprocessing
from convlens.networks.resnet_cifar import CifarResNet

TRAINED = Path(__file__).parents[1] / "src" / "convlens" / "explorer" / "trained"
CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
RESIDUAL = {"blocks": 1, "widths": [8, 16, 32], "channels": 1, "classes": 10}

FASHION = Path("/usr/share/datasets/fashion-mnist")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", type=Path, default=FASHION, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--quick", action="store_true", help="one epoch of each, and nothing is kept")
    parser.add_argument("--only", choices=("clothes", "digits", "shifts"), help="one of the three")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        into = Path(scratch) if asked.quick else TRAINED
        rows: list[dict[str, object]] = []
        if asked.only in (None, "clothes") and not asked.fashion.is_dir():
            print(f"{asked.fashion} is missing; apt-get install dataset-fashion-mnist", file=sys.stderr)
            if not asked.quick:
                sys.exit(2)
        elif asked.only in (None, "clothes"):
            pictures(asked.fashion, into)
            rows.append(clothes(asked.fashion, into, epochs=1 if asked.quick else 14))
        if asked.only in (None, "digits"):
            rows.append(lenet(Path(scratch), into, epochs=1 if asked.quick else 60))
        if asked.only in (None, "shifts"):
            rows += never_moved(into, epochs=1 if asked.quick else 15)
    if asked.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print(f"{row['what']:68} {row['ours']:7.4f}")


def lenet(scratch: Path, into: Path, *, epochs: int) -> dict[str, object]:
    run = convlens.train("digits", network="lenet5", epochs=epochs, runs=str(scratch), name="lenet5", quiet=True)
    accuracy = run.evaluate("digits").top1
    folder = run.folder
    about = {
        "network": "lenet5",
        "data": "digits",
        "images": "scikit-learn's handwritten digits (UCI), the test split",
        "classes": list(folder.classes),
        "preprocessing": folder.preprocessing.to_dict(),
        "top1": accuracy,
    }
    keep(folder.load_network(), about, into / "lenet5.safetensors")
    return row("LeNet-5 on digits, test accuracy", accuracy)


def clothes(fashion: Path, into: Path, *, epochs: int) -> dict[str, object]:
    dataset = open_dataset(fashion)
    prepared = Preprocessing(size=(32, 32), resize=32, crop="center", mean=(0.286,), std=(0.353,), channels=1)
    x, y = tensors(dataset, prepared, "train")
    x_test, y_test = tensors(dataset, prepared, "test")
    network = trained(x, y, epochs=epochs, batch=128)
    with torch.inference_mode():
        right = [
            (network(x_test[i : i + 500]).argmax(1) == y_test[i : i + 500]).sum() for i in range(0, len(x_test), 500)
        ]
    accuracy = float(sum(right)) / len(x_test)
    about = {
        "network": "CifarResNet",
        "arguments": RESIDUAL,
        "data": "Fashion-MNIST (Zalando Research, MIT licence)",
        "images": "its 10,000 test images",
        "classes": list(CLOTHES),
        "preprocessing": prepared.to_dict(),
        "top1": accuracy,
    }
    keep(network, about, into / "clothes.safetensors")
    return row("residual network of 8 layers on Fashion-MNIST, test accuracy", accuracy)


def trained(x: Tensor, y: Tensor, *, epochs: int, batch: int) -> nn.Module:
    """SGD with Nesterov momentum and one cycle: a plain loop, for a network of this size is not in the catalogue."""
    torch.manual_seed(0)
    network = CifarResNet(**{**RESIDUAL, "widths": tuple(RESIDUAL["widths"])})
    steps = epochs * (len(x) // batch)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=steps, pct_start=0.2)
    chance = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=chance)
        for start in range(0, len(x) // batch * batch, batch):
            chosen = order[start : start + batch]
            loss = cross_entropy(network(moved(x[chosen], chance)), y[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def pictures(fashion: Path, into: Path) -> None:
    """The first test photograph of each class, side by side."""
    dataset = open_dataset(fashion)
    first = {record.label: record for record in reversed(dataset.records("test"))}
    strip = np.concatenate([dataset.read(first[str(label)], channels=1) for label in range(10)], axis=1)
    into.mkdir(parents=True, exist_ok=True)
    Image.fromarray(strip[:, :, 0]).save(into / "clothes.png", optimize=True)


def tensors(dataset: convlens.data.Dataset, prepared: Preprocessing, split: str) -> tuple[Tensor, Tensor]:
    images = [prepared.apply(dataset.read(record, channels=1)) for record in dataset.records(split)]
    # the IDX files call their classes 0 to 9
    labels = [int(record.label) for record in dataset.records(split)]
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)


def moved(x: Tensor, chance: torch.Generator) -> Tensor:
    """Half of the images mirrored, the batch shifted by up to two pixels."""
    mirrored = torch.rand(len(x), generator=chance) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    down, right = torch.randint(-2, 3, (2,), generator=chance).tolist()
    return torch.roll(x, (down, right), (2, 3))


def never_moved(into: Path, *, epochs: int) -> list[dict[str, object]]:
    """The shift experiment of page 5, as the page itself runs it."""
    *_, found = measure(epochs)
    (into / "shifts.json").write_text(json.dumps({"measured": today(), **found}, indent=1) + "\n", encoding="utf-8")
    return [
        row(f"{each['name']}, trained on digits that never moved: accuracy at {shift} px", each["at_shifts"][shift])
        for each in found["networks"]
        for shift in SHIFTS
    ]


def keep(network: nn.Module, about: dict[str, object], path: Path) -> None:
    about = {**about, "trained": today(), "script": "benchmarks/explorer_networks.py"}
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, metadata={"convlens": json.dumps(about)})


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def row(what: str, value: float) -> dict[str, object]:
    return {"what": what, "ours": value, "peer": None, "unit": "share", "ratio": None}


if __name__ == "__main__":
    main()
