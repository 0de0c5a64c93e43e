"""Fine-tuning on photographs: from scratch, `finetune` and `probe` beside timm's usual script, over several splits.

The photographs are those of the Debian package tuxpaint-stamps-default (apt-get install tuxpaint-stamps-default):
folders of mammals, fruit, birds, houses, flowers, insects, vegetables and tools, transparent PNG files, over white.
Each split takes a quarter of each class for the test, which no training sees, and an eighth for validation.

The peer is timm's EfficientNet-Lite0 with the same ImageNet weights and the usual script: PyTorch as it comes, random
resized crops and mirror images, AdamW, five epochs of the last layer on a frozen body, then ten of all at a tenth of
the rate; the weights of the last epoch are tested. `scratch` gets as many epochs as fit the peer's time. Ours are
`convlens.train` as anybody calls it, without options but the recipe. Seconds are those of the whole call: reading,
tuning, training, validation and report; processor seconds are those of all threads. timm is needed for the peer alone
(pip install --no-deps timm), and its rows are left out, and said, where it is missing.

usage: finetune.py [--quick] [--json] [--splits 5] [--only finetune,probe,peer,scratch] [--results FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import convlens
from convlens.training.several import student_interval

STAMPS = Path("/usr/share/tuxpaint/stamps")
CLASSES = {
    "mammals": "animals/mammals",
    "birds": "animals/birds",
    "insects": "animals/insects",
    "flowers": "plants/flowers",
    "fruit": "food/fruit",
    "vegetables": "food/vegetables",
    "houses": "town/houses",
    "tools": "household/tools",
}
WAYS = ("peer", "finetune", "probe", "scratch")
HEAD_EPOCHS, ALL_EPOCHS, BATCH = 5, 10, 32


def write_split(folder: Path, seed: int, most: int | None) -> dict[str, int]:
    """Photographs over white in train/, val/ and test/, a folder a class; gives how many there are in each."""
    counts = dict.fromkeys(("train", "val", "test"), 0)
    generator = np.random.default_rng(seed)
    for label, place in CLASSES.items():
        files = sorted((STAMPS / place).rglob("*.png"))
        files = [files[i] for i in generator.permutation(len(files))[:most]]
        for number, file in enumerate(files):
            share = number / len(files)
            split = "test" if share < 0.25 else "val" if share < 0.375 else "train"
            target = folder / split / label / f"{number:03d}-{file.stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(file) as picture:
                picture = picture.convert("RGBA")
                picture.thumbnail((500, 500))
                white = Image.new("RGBA", picture.size, "white")
                Image.alpha_composite(white, picture).convert("RGB").save(target)
            counts[split] += 1
    return counts


def ours(data: Path, runs: Path, seed: int, **settings: Any) -> float:
    """Accuracy on the test images."""
    run = convlens.train(str(data), seed=seed, runs=str(runs), quiet=True, **settings)
    return float(run.result["held_out"]["top1"])


def peer(data: Path, seed: int, head_epochs: int, all_epochs: int) -> float:
    """Accuracy on the test images of the usual script."""
    stand_in_for_torchvision()
    import timm

    from convlens.networks import card
    from convlens.networks.places import find

    torch.manual_seed(seed)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(find(card("efficientnet_lite0").weights["imagenet1k"]), weights_only=True)
    network.load_state_dict(renamed(weights, network))
    network.reset_classifier(len(CLASSES))
    train, test = read(data / "train"), read(data / "test")
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for parameter in network.get_classifier().parameters():
        parameter.requires_grad_(True)
    fit(network, train, head_epochs, 1e-3, seed)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    fit(network, train, all_epochs, 1e-4, seed + 1)
    network.eval()
    with torch.inference_mode():
        right = [network(x.unsqueeze(0)).argmax().item() == y for x, y in ((whole(i), y) for i, y in test)]
    return mean(right)


class Named(type):
    """Classes that have an attribute of any name: the name."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return name


class StandIn(ModuleType):
    """A module that has a class of any name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Named(name, (nn.Module,), {})


class StandInFinder(MetaPathFinder, Loader):
    """Finds any module of torchvision."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def stand_in_for_torchvision() -> None:
    """timm imports torchvision for its data sets; its networks do without, and so does a machine that lacks it."""
    if find_spec("torchvision") is None:
        sys.meta_path.append(StandInFinder())


def renamed(weights: dict[str, torch.Tensor], network: nn.Module) -> dict[str, torch.Tensor]:
    """The package's entries by timm's names: both list the same layers in the same order, with the same shapes."""
    theirs, given = network.state_dict(), [t for name, t in weights.items() if "num_batches" not in name]
    names = [name for name in theirs if "num_batches" not in name]
    assert len(names) == len(given)
    assert all(theirs[name].shape == tensor.shape for name, tensor in zip(names, given, strict=True))
    return dict(zip(names, given, strict=True)) | {name: t for name, t in theirs.items() if "num_batches" in name}


def read(folder: Path) -> list[tuple[Image.Image, int]]:
    """Decoded images and class indices, in memory, as the usual script's workers would have them at hand."""
    labels = sorted(CLASSES)
    return [(Image.open(file).convert("RGB"), labels.index(file.parent.name)) for file in sorted(folder.rglob("*.png"))]


def tensor(image: Image.Image) -> torch.Tensor:
    return (torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1) - 127) / 128


def whole(image: Image.Image) -> torch.Tensor:
    """The middle square."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return tensor(image.resize((224, 224), Image.Resampling.BICUBIC, box=box))


def cropped(image: Image.Image, generator: np.random.Generator) -> torch.Tensor:
    """A random resized crop, mirrored half of the time."""
    area = image.width * image.height * generator.uniform(0.25, 1)
    aspect = float(np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3))))
    width = min(image.width, round((area * aspect) ** 0.5))
    height = min(image.height, round((area / aspect) ** 0.5))
    left, top = generator.integers(image.width - width + 1), generator.integers(image.height - height + 1)
    crop = image.resize((224, 224), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    return tensor(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else crop)


def fit(network: nn.Module, images: list[tuple[Image.Image, int]], epochs: int, rate: float, seed: int) -> None:
    """Epochs of AdamW with a cosine."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.05)
    steps = len(images) // BATCH * epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    generator = np.random.default_rng(seed)
    network.train()
    for _ in range(epochs):
        order = generator.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = [images[i] for i in order[start : start + BATCH]]
            x = torch.stack([cropped(image, generator) for image, _ in chosen])
            y = torch.tensor([label for _, label in chosen])
            loss = nn.functional.cross_entropy(network(x), y, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def timed(call: Callable[[], float]) -> tuple[float, float, float]:
    """What a call gives, and its seconds: on the clock, and of all processors."""
    wall, busy = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - busy


def one(way: str, split: int, most: int | None, seconds: float | None, quick: bool) -> dict[str, Any]:
    """One way on one split, in this process; `seconds` is the peer's time, which decides the epochs of scratch."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        counts = write_split(folder / "stamps", split, most)
        runs, data = folder / "runs", folder / "stamps"
        if way == "peer":
            epochs = (1, 1) if quick else (HEAD_EPOCHS, ALL_EPOCHS)
            done = timed(lambda: peer(data, split, *epochs))
        elif way == "scratch":
            given: dict[str, Any] = {"network": "efficientnet_lite0", "recipe": "scratch", "size": 224}
            _, wall, _ = timed(lambda: ours(data, runs, split, **given, epochs=1))
            epochs_that_fit = max(1, round((seconds or 60.0) / wall))
            done = timed(lambda: ours(data, runs, split, **given, epochs=1 if quick else epochs_that_fit))
        elif way == "finetune" and not quick:
            done = timed(lambda: ours(data, runs, split))  # as it comes: auto
        else:
            extra: dict[str, Any] = {"epochs": 1, "weights": "imagenet1k", "network": "efficientnet_lite0"}
            done = timed(lambda: ours(data, runs, split, recipe=way, **(extra if way == "finetune" else {})))
    accuracy, wall, busy = done
    return {"way": way, "split": split, "top1": accuracy, "seconds": wall, "processor_seconds": busy, "images": counts}


def in_a_process(way: str, split: int, most: int | None, seconds: float | None, quick: bool) -> dict[str, Any] | None:
    """The same in a process of its own, with an empty cache, so that nothing is remembered from one to the next."""
    with tempfile.TemporaryDirectory() as cache:
        words = [sys.executable, __file__, "--one", way, "--split", str(split)]
        words += ["--most", str(most)] if most else []
        words += ["--seconds", str(seconds)] if seconds else []
        words += ["--quick"] if quick else []
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "CONVLENS_CACHE": cache})
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        print(f"{way} on split {split} fails: {reason}", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one split of few images, one epoch: that it works")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--only", default=",".join(WAYS))
    parser.add_argument("--results", type=Path, help="JSON lines that are added to; what is there is not done again")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--split", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--most", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not STAMPS.is_dir():
        print(json.dumps({"rows": []}) if arguments.json else "")
        print(f"{STAMPS} is missing; apt-get install tuxpaint-stamps-default", file=sys.stderr)
        return
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.split, arguments.most, arguments.seconds, arguments.quick)))
        return
    most, splits = (10, 1) if arguments.quick else (None, arguments.splits)
    known = (
        [json.loads(line) for line in arguments.results.read_text().splitlines()]
        if arguments.results and arguments.results.exists()
        else []
    )
    for split in range(splits):
        for way in arguments.only.split(","):
            if any((row["way"], row["split"]) == (way, split) for row in known):
                continue
            seconds = next((row["seconds"] for row in known if (row["way"], row["split"]) == ("peer", split)), None)
            row = in_a_process(way, split, most, seconds, arguments.quick)
            if row is None:
                continue
            known.append(row)
            if arguments.results:
                with arguments.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(
                f"split {split}  {way:9} {row['top1']:.1%} in {row['seconds']:.0f} s, "
                f"{row['processor_seconds']:.0f} s of processors",
                file=sys.stderr,
                flush=True,
            )
    rows = summary(known)
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    for row in rows:
        print(f"{row['what']:70} {row['ours']:8.2f} peer {row['peer']:8.2f} {row['unit']:20} ratio {row['ratio']:.2f}")


def summary(known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy, seconds and processor seconds of each way, as means over the splits that both have, beside the peer."""
    by_way = {way: {row["split"]: row for row in known if row["way"] == way} for way in WAYS}
    rows = []
    for way in WAYS[1:]:
        both = sorted(by_way[way].keys() & by_way["peer"].keys())
        if not both:
            continue
        for what, key, scale, unit in (
            ("test accuracy", "top1", 100, "% right"),
            ("whole call", "seconds", 1, "s"),
            ("whole call", "processor_seconds", 1, "s of processors"),
        ):
            mine = [scale * by_way[way][split][key] for split in both]
            theirs = [scale * by_way["peer"][split][key] for split in both]
            row = {
                "what": f"{way}: {what}, mean of {len(both)} splits",
                "ours": round(mean(mine), 3),
                "peer": round(mean(theirs), 3),
                "unit": unit,
                "ratio": round(mean(mine) / mean(theirs), 3),
                "ours_each": [round(value, 2) for value in mine],
                "peer_each": [round(value, 2) for value in theirs],
            }
            if len(both) > 1:
                row["difference_interval"] = [
                    round(value, 3)
                    for value in student_interval([a - b for a, b in zip(mine, theirs, strict=True)])[1:]
                ]
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()
