"""Images a second of a training step: as `convlens train` does it, against plain eager PyTorch, in one run.

Both train the same network with AdamW on the same drawn batch. The peer is the loop of the tutorials: float32, default
memory format. Ours is what `convlens train` chooses by timing. Steps alternate, and the fastest of each counts, so that
other work on the machine slows neither side alone.

usage: train_step.py [--quick] [--json] [--networks resnet18,lenet5] [--threads N] [--steps N]
"""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F

from convlens import networks
from convlens.training import TrainConfig
from convlens.training.choosing import choose_numerics
from convlens.training.numerics import shaped, threads_of
from convlens.training.optimisers import make_optimizer
from convlens.training.step import Step

NETWORKS = ("lenet5", "resnet18", "resnet50", "efficientnet_b0", "vgg11")
BATCH, SIDE, CLASSES = 16, 160, 10
TRAINING = 1000  # steps of the training that is tuned for: too few to pay for compiling


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


def measure(name: str, steps: int, threads: int) -> dict[str, object]:
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
    numerics = choose_numerics(ours, x_last, y, config, step, steps=TRAINING, say=lambda _: None)
    chosen = step.computed_as(numerics)
    optimizer = make_optimizer(ours, config)
    fastest = {"ours": float("inf"), "peer": float("inf")}
    with shaped(ours, numerics, recompute=False):
        for round_ in range(steps + 1):
            with threads_of(numerics.threads):
                started = time.perf_counter()
                chosen(ours, optimizer, x_last, y)
                ours_seconds = time.perf_counter() - started
            started = time.perf_counter()
            peer_step()
            peer_seconds = time.perf_counter() - started
            if round_:
                fastest["ours"] = min(fastest["ours"], ours_seconds)
                fastest["peer"] = min(fastest["peer"], peer_seconds)
    speeds = {side: BATCH / seconds for side, seconds in fastest.items()}
    return {
        "what": f"{name}, batch {BATCH}, {x.shape[2]} px, {threads} thread(s); ours: {numerics.title}",
        "ours": round(speeds["ours"], 1),
        "peer": round(speeds["peer"], 1),
        "unit": "images/s",
        "ratio": round(speeds["ours"] / speeds["peer"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="lenet5 and resnet18, few steps")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    names = ("lenet5", "resnet18") if arguments.quick else arguments.networks.split(",")
    rows = []
    for name in names:
        rows.append(measure(name, 2 if arguments.quick else arguments.steps, arguments.threads))
        if not arguments.json:
            row = rows[-1]
            print(f"{row['what']}: {row['ours']} against {row['peer']} images/s, {row['ratio']}×", flush=True)
    if arguments.json:
        json.dump({"rows": rows}, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
