"""Two processes against one, the bubble of a pipeline against (K-1)/(M+K-1), and the bytes that scaling moves.

Every process computes with one thread. "Efficiency" is the speed of two processes against twice that of one, with the
same batch for all. The bubble is what two stages lose against one process that does the same micro-batches: waiting and
what is sent. Its peer is the schedule's own share (Huang et al. 2018, section 2.3). Without --quick, GPipe's table 1 is
worked out, too: parameters and activations of AmoebaNet-D at 224 pixels and batch 128, cut into K stages, recomputed.

Example: python benchmarks/scale.py --quick
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from convlens import networks
from convlens.anatomy import training_memory
from convlens.networks.amoebanet import amoebanet_d
from convlens.training import TrainConfig
from convlens.training.optimisers import make_optimizer
from convlens.training.step import Step

NETWORK, SIZE, BATCH = "resnet20", (32, 32), 64
MICROBATCHES = (2, 4, 8)
TABLE_1 = ((1, 18, 208), (1, 18, 416), (2, 18, 544), (4, 36, 544), (8, 72, 512))  # stages, cells, filters


def network_and_step(config):
    torch.manual_seed(0)
    network = networks.create(NETWORK, classes=10, channels=3, size=SIZE).train()
    return network, Step.of(config), torch.randn(BATCH, 3, *SIZE), torch.randint(0, 10, (BATCH,))


def seconds_of(step, steps):
    """The median of some steps, the first left out."""
    took = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        step()
        took.append(time.perf_counter() - started)
    return statistics.median(took[1:])


def config_for(stages=1, micro=None):
    return TrainConfig(data="digits", network=NETWORK, batch=BATCH, pipeline=stages, microbatches=micro)


def alone(steps):
    """Seconds of a step in one process, whole and in micro-batches."""
    network, step, x, y = network_and_step(config_for())
    optimizer = make_optimizer(network, config_for())
    parts = (1, *MICROBATCHES)
    return {part: seconds_of(lambda part=part: step(network, optimizer, x, y, part), steps) for part in parts}


def one_of_two(steps):
    """What one of two processes measures; printed by the first."""
    import torch.distributed as dist

    from convlens.training.distributed.launch import launched
    from convlens.training.distributed.meeting import join, meet
    from convlens.training.distributed.pipelined import PipelinedRanks
    from convlens.training.distributed.ranks import Ranks

    place = launched()
    control, _ = join(place, meet(place), torch.device("cpu"))
    network, step, x, y = network_and_step(config_for())
    team, optimizer = (
        Ranks(place, torch.device("cpu"), control, synchronise=False),
        make_optimizer(network, config_for()),
    )
    learning, own = team.learning(network), slice(place.rank, None, place.size)

    def together():
        return step(learning, optimizer, x[own], y[own], 1, team.counted(len(x[own])))

    found = {"together": seconds_of(together, steps), "stages": {}}
    for micro in MICROBATCHES:
        config = config_for(2, micro)
        network, step, x, y = network_and_step(config)
        team = PipelinedRanks(place, torch.device("cpu"), control, config)
        team.spread(network, None, x.shape)
        optimizer, piped = make_optimizer(network, config), team.stepping(step)
        with team.computing(network):
            took = seconds_of(partial(piped, network, optimizer, x, y, 1, BATCH), steps)
        found["stages"][micro] = took
        found["imbalance"] = max(team.shares) * 2 - 1
    dist.barrier()
    if place.rank == 0:
        print(json.dumps(found))


def start_two(steps):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--rank-of-two", str(steps)],
            env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=250)[0] for process in processes]
    return json.loads(said[0])


def bytes_of(network, config):
    """Gradients that a step adds up, and what a checkpoint holds: weights, statistics, and two moments."""
    import io

    optimizer = make_optimizer(network, config)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    file = io.BytesIO()
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, file)
    gradients = sum(parameter.nbytes for parameter in network.parameters())
    return gradients, len(file.getvalue())


def activations(stages, layers, filters, batch=128, size=(224, 224)):
    """Parameters, and bytes of activations of all stages: their inputs, and one micro-batch computed again."""
    from convlens.training.distributed.cutting import block_costs, crossing, cut

    with torch.device("meta"):
        network = amoebanet_d(layers=layers, filters=filters).train()
    micro = batch // (4 * stages) if stages > 1 else batch
    x = torch.empty(micro, 3, *size, device="meta")
    segments = cut(network, block_costs(network, x.shape), stages)
    inputs = crossing(segments, x)
    total = 0
    for segment, given in zip(segments, inputs, strict=False):
        saved = training_memory(segment.module, *given).saved
        kept = sum(tensor.numel() * 4 for tensor in given) * batch // micro
        total += saved + (kept if stages > 1 else 0)
    return sum(p.numel() for p in network.parameters()), total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps, and no table 1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rank-of-two", type=int, metavar="STEPS", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.rank_of_two:
        one_of_two(given.rank_of_two)
        return
    steps = 2 if given.quick else 15
    one, two = alone(steps), start_two(steps)
    what = f"{NETWORK}, batch {BATCH}"
    rows = [(f"{what}: two processes against twice one", BATCH / two["together"], 2 * BATCH / one[1], "images/s")]
    for micro, took in two["stages"].items():
        m = int(micro)
        rows.append((f"{what}: bubble of 2 stages, {m} micro-batches", 1 - one[m] / (2 * took), 1 / (m + 1), "share"))
    rows.append(("costliest of 2 stages against the mean, by the anatomy", 1 + two["imbalance"], 1.0, "times"))
    network = network_and_step(config_for())[0]
    gradients, checkpoint = bytes_of(network, config_for())
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    rows.append(("gradients that a step adds up, against the weights", gradients, weights, "bytes"))
    rows.append(("checkpoint against three times the weights", checkpoint, 3 * weights, "bytes"))
    if not given.quick:
        for (stages, layers, filters), paper in zip(TABLE_1, (6.26, 3.46, 8.11, 15.21, 26.24), strict=True):
            parameters, total = activations(stages, layers, filters)
            name = (
                f"AmoebaNet-D({layers}, {filters}), {parameters / 1e6:,.0f} M parameters, {stages} stages: activations"
            )
            rows.append((name, total / 1e9, paper, "GB"))
    if given.json:
        named = [dict(zip(("what", "ours", "peer", "unit"), row, strict=True)) for row in rows]
        print(json.dumps({"rows": [row | {"ratio": row["ours"] / row["peer"]} for row in named]}))
        return
    for name, ours, peer, unit in rows:
        print(f"{name:<76} {ours:>14,.3f} {peer:>14,.3f} {unit:<9} {ours / peer:.2f}")


if __name__ == "__main__":
    main()
