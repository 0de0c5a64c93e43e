"""Images a second of a training step: as `convlens train` does it, against plain eager PyTorch, in one run.

Both train the same network with AdamW on the same drawn batch. The peer is the loop of the tutorials: float32, default
memory format. Ours is what `convlens train` chooses by timing. Steps alternate, and the fastest of each counts, so that
other work on the machine slows neither side alone; on a busy machine one thread and `--clock processor` tell most.

`ceiling` is the ratio that would be seen if our step were nothing but its multiplications, at the fastest rate that a
convolution in bfloat16 reaches here: what no program can get beyond on this processor with these algorithms.

usage: train_step.py [--quick] [--json] [--networks resnet18,lenet5] [--threads N] [--steps N] [--training N]
                     [--clock wall|processor]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from convlens import inspect, networks
from convlens.training import TrainConfig
from convlens.training.optimisers import make_optimizer
from convlens.training.speed.choosing import choose_numerics
from convlens.training.speed.numerics import shaped, threads_of
from convlens.training.step import Step

NETWORKS = ("lenet5", "resnet18", "resnet50", "efficientnet_b0", "vgg11")
BATCH, SIDE, CLASSES = 16, 160, 10
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}


def drawn_batch(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of noise: what the images show does not change how long a step takes."""
    side, channels = (32, 1) if name == "lenet5" else (SIDE, 3)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, channels, side, side, generator=generator)
    return x, torch.randint(0, CLASSES, (BATCH,), generator=generator)


def build(name: str, x: torch.Tensor) -> torch.nn.Module:
    torch.manual_seed(0)
    network = networks.create(name, classes=CLASSES, channels=x.shape[1], size=tuple(x.shape[2:]))
    return network.train()


def convolution_rate(clock: Callable[[], float]) -> float:
    """Multiply-adds a second of a 3×3 convolution in bfloat16 with 256 channels, forward, at its fastest."""
    x = torch.randn(16, 256, 10, 10).bfloat16().contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).bfloat16().contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(30):
        started = clock()
        F.conv2d(x, weight, padding=1)
        seconds.append(clock() - started)
    return 16 * 100 * 256 * 256 * 9 / min(seconds)


def measure(name: str, steps: int, threads: int, training: int, clock: Callable[[], float]) -> dict[str, object]:
    x, y = drawn_batch(name)
    torch.set_num_threads(threads)
    peer = build(name, x)
    peer_optimizer = torch.optim.AdamW(peer.parameters(), lr=1e-4)

    def peer_step() -> None:
        loss = F.cross_entropy(peer(x), y)
        peer_optimizer.zero_grad()
        loss.backward()
        peer_optimizer.step()

    ours = build(name, x).to(memory_format=torch.channels_last)
    x_last = x.contiguous(memory_format=torch.channels_last)
    config = TrainConfig(data="digits", network=name, batch=BATCH, lr=1e-4)
    step = Step.of(config)
    numerics = choose_numerics(ours, x_last, y, config, step, steps=training, say=lambda _: None)
    chosen = step.computed_as(numerics)
    optimizer = make_optimizer(ours, config)
    fastest = {"ours": float("inf"), "peer": float("inf")}
    with shaped(ours, numerics, recompute=False):
        for round_ in range(steps + 1):
            with threads_of(numerics.threads):
                started = clock()
                chosen(ours, optimizer, x_last, y)
                ours_seconds = clock() - started
            started = clock()
            peer_step()
            peer_seconds = clock() - started
            if round_:
                fastest["ours"] = min(fastest["ours"], ours_seconds)
                fastest["peer"] = min(fastest["peer"], peer_seconds)
    # The gradients of input and weight cost as much as the forward pass each.
    macs = 3 * BATCH * inspect(build(name, x).eval(), tuple(x.shape[1:])).macs
    speeds = {side: BATCH / seconds for side, seconds in fastest.items()}
    return {
        "what": f"{name}, batch {BATCH}, {x.shape[2]} px, {threads} thread(s); ours: {numerics.title}",
        "ours": round(speeds["ours"], 1),
        "peer": round(speeds["peer"], 1),
        "unit": "images/s",
        "ratio": round(speeds["ours"] / speeds["peer"], 2),
        "ceiling": round(fastest["peer"] * convolution_rate(clock) / macs, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="lenet5 and resnet18, few steps")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument(
        "--training", type=int, default=1000, help="steps of the training to choose for; from 100000 on it may compile"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    names = ("lenet5", "resnet18") if arguments.quick else arguments.networks.split(",")
    steps, clock, rows = 2 if arguments.quick else arguments.steps, CLOCKS[arguments.clock], []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CONVLENS_CACHE"] = cache  # what another day chose does not count
        for name in names:
            row = measure(name, steps, arguments.threads, arguments.training, clock)
            rows.append(row)
            if not arguments.json:
                line = f"{row['what']}: {row['ours']} against {row['peer']} images/s, {row['ratio']}×"
                print(f"{line}, ceiling {row['ceiling']}×", flush=True)
    if arguments.json:
        json.dump({"rows": rows}, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
