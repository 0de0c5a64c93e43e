"""Fashion-MNIST in full: what a training reaches and how long it takes, beside published figures and plain PyTorch.

70,000 images of 28 x 28 pixels, from the Debian package dataset-fashion-mnist (apt-get install dataset-fashion-mnist).
`convlens.train` reads the IDX files, keeps a tenth of the 60,000 training images for validation, and the accuracy is
that of the kept weights on the 10,000 test images. Only what the data cannot say is given: --mirrors, for a mirrored
shoe is a shoe, and the epochs that fit the time. Published test accuracies (the data set's own list): two convolutions
below 100,000 parameters 92.5 %, ResNet-18 94.9 %, WRN-28-10 with random erasing 96.3 %.

The time peer is the same network, batch, optimiser and augmentation in a plain PyTorch loop, images in memory, in
float32 or bfloat16 autocast and on one thread or all, whichever is fastest; it is timed over some steps, ours
over the epochs of the real training without validation. Ratios are of images a second. Processor seconds are those of
all threads, and hold on a machine that others use, too.

usage: fashion.py [--quick] [--json] [--networks resnet20,lenet5] [--recipes scratch,strong] [--epochs N]
                  [--runs FOLDER]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import convlens
from convlens.data.idx import read_idx

DATA = Path("/usr/share/datasets/fashion-mnist")
PUBLISHED = {"resnet20": ("ResNet-18", 94.9), "lenet5": ("two convolutions, < 100 k", 92.5)}
EPOCHS = {"scratch": 19, "strong": 90}  # of resnet20: ten minutes and three quarters of an hour on two processors
PEER_STEPS = 30


def part_of(data: Path, folder: Path, images: int) -> Path:
    """The first images of each part as IDX files of their own."""
    for file in sorted(data.glob("*-ubyte.gz")):
        values = read_idx(file)[:images]
        header = b"\x00\x00\x08" + bytes([values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
        (folder / file.name.removesuffix(".gz")).write_bytes(header + values.tobytes())
    return folder


def peer_speed(data: Path, network: str, batch: int, steps: int, *, bfloat16: bool) -> float:
    """Images a second of a plain loop: padded crops, mirror images, AdamW."""
    images = read_idx(next(data.glob("train-images*")))
    labels = read_idx(next(data.glob("train-labels*"))).astype(np.int64)
    net = convlens.create(network, classes=10, channels=1, size=(32, 32) if network == "lenet5" else (28, 28)).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    generator, started, side = np.random.default_rng(0), 0.0, 32 if network == "lenet5" else 28
    for step in range(steps + 3):
        if step == 3:  # the first steps import and allocate
            started = time.perf_counter()
        chosen = generator.integers(len(images), size=batch)
        x = torch.from_numpy(images[chosen]).float().unsqueeze(1) / 255
        x = nn.functional.pad(x, [4] * 4)
        top, left = generator.integers(0, 9 if side == 28 else 5, 2)
        x = x[:, :, top : top + side, left : left + side]
        x = (torch.where(torch.rand(batch, 1, 1, 1) < 0.5, x.flip(3), x) - 0.286) / 0.353
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            scores = net(x)
        loss = nn.functional.cross_entropy(scores.float(), torch.from_numpy(labels[chosen]), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
    return steps * batch / (time.perf_counter() - started)


def fastest_peer(data: Path, network: str, batch: int, steps: int) -> tuple[float, str]:
    """The plain loop at its best, and how: on a busy machine one thread can be many times faster than all."""
    usual, speeds = torch.get_num_threads(), {}
    try:
        for threads in {1, usual}:
            torch.set_num_threads(threads)
            for bfloat16 in (False, True):
                how = f"{'bfloat16' if bfloat16 else 'float32'}, {threads} thread{'s' if threads > 1 else ''}"
                speeds[how] = peer_speed(data, network, batch, steps, bfloat16=bfloat16)
    finally:
        torch.set_num_threads(usual)
    best = max(speeds, key=speeds.__getitem__)
    return speeds[best], best


def measure(data: Path, network: str, recipe: str, epochs: int, runs: Path, steps: int) -> list[dict[str, Any]]:
    """Train, or take the run that is there already, and go on with one that was cut."""
    name = f"{network}-{recipe}-{epochs}"
    wall, busy = time.perf_counter(), time.process_time()
    if (runs / name).exists():
        run = convlens.open_run(runs / name)
        if run.result.get("status") != "finished":
            run = convlens.resume(runs / name, quiet=True)
    else:
        settings: dict[str, Any] = {"network": network, "recipe": recipe, "epochs": epochs, "mirrors": True}
        run = convlens.train(str(data), runs=str(runs), name=name, quiet=True, **settings)
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    top1 = 100 * run.result["held_out"]["top1"]
    speeds = [row["images_per_second"] for row in run.metrics()]
    batch = run.folder.config["batch"]
    theirs, how = fastest_peer(data, network, batch, steps)
    model, published = PUBLISHED[network]
    what = f"{network} ({sum(p.numel() for p in run.network().parameters()):,} parameters), {recipe}, {epochs} epochs"
    return [
        {
            "what": f"{what}: test accuracy beside {model} as published",
            "ours": round(top1, 2),
            "peer": published,
            "unit": "% right",
            "ratio": round(top1 / published, 4),
            "seconds": round(wall),
            "processor_seconds": round(busy),
        },
        {
            "what": f"{what}: training beside plain PyTorch ({how}), batch of {batch}",
            "ours": round(float(np.median(speeds)), 1),
            "peer": round(theirs, 1),
            "unit": "images/s",
            "ratio": round(float(np.median(speeds)) / theirs, 3),
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="lenet5 on 2,000 images, one epoch: that it works, no more"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", default=",".join(PUBLISHED))
    parser.add_argument("--recipes", default=",".join(EPOCHS))
    parser.add_argument("--epochs", type=int, help=f"for every recipe; if not given: {EPOCHS}")
    parser.add_argument("--runs", type=Path, help="folder to keep the runs in, and to go on from")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(json.dumps({"rows": []}) if arguments.json else "")
        print(f"{DATA} is missing; apt-get install dataset-fashion-mnist", file=sys.stderr)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        data, runs = DATA, arguments.runs or Path(temporary) / "runs"
        if arguments.quick:
            data = part_of(DATA, Path(temporary), 2000)
            arguments.networks, arguments.recipes, arguments.epochs = "lenet5", "scratch", 1
        for network in arguments.networks.split(","):
            for recipe in arguments.recipes.split(","):
                epochs = arguments.epochs or EPOCHS[recipe]
                rows += measure(data, network, recipe, epochs, runs, 5 if arguments.quick else PEER_STEPS)
    if arguments.json:
        print(json.dumps({"rows": rows}, indent=2))
        return
    for row in rows:
        seconds = f"  in {row['seconds']} s, {row['processor_seconds']} s of processors" if "seconds" in row else ""
        print(f"{row['what']}: {row['ours']} against {row['peer']} {row['unit']}, ratio {row['ratio']}{seconds}")


if __name__ == "__main__":
    main()
