"""Two processes against one, the bubble of a pipeline against (K-1)/(M+K-1), and the bytes that scaling moves.

Every process computes with one thread. "Efficiency" is the speed of two processes against twice that of one, with the
same batch for all. The bubble is what two stages lose against one process that does the same micro-batches: waiting and
what is sent. Its peer is the schedule's own share (Huang et al. 2018, section 2.3). Peak memory is counted by torch's
allocator, beside weights and moments; its peer is the anatomy's. Without --quick, GPipe's table 1 is worked out, too:
parameters and activations of AmoebaNet-D at 224 pixels and batch 128, cut into K stages, recomputed.

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
from dataclasses import replace
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch.profiler import ProfilerActivity, profile

from convlens import networks
from convlens.anatomy import training_memory
from convlens.networks.amoebanet import amoebanet_d
from convlens.training import TrainConfig
from convlens.training.optimisers import make_optimizer
from convlens.training.speed.freed_memory import keeping_freed_memory
from convlens.training.step import Step

NETWORK, SIZE, BATCH = "resnet20", (32, 32), 64
MICROBATCHES = (2, 4, 8)
MEMORY = {  # how it is held
    "GPipe": {},
    "1F1B": {"schedule": "1f1b"},
    "GPipe recomputed": {"recompute": True},
}
# stages (none: one process without micro-batches or recomputation), cells, filters, and the paper's GB of activations
TABLE_1 = ((0, 18, 208, 6.26), (1, 18, 416, 3.46), (2, 18, 544, 8.11), (4, 36, 544, 15.21), (8, 72, 512, 26.24))


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
    """Seconds of a step in one process, whole and in micro-batches; its peak memory, measured and predicted."""
    network, step, x, y = network_and_step(config_for())
    optimizer = make_optimizer(network, config_for())
    parts = (1, *MICROBATCHES)
    took = {part: seconds_of(lambda part=part: step(network, optimizer, x, y, part), steps) for part in parts}
    peak = allocated(lambda: step(network, optimizer, x, y), optimizer)
    return took, (peak, training_memory(network, x).peak)


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

    found = {"together": seconds_of(together, steps), "stages": {}, "memory": {}}
    for micro, how in [*((micro, "") for micro in MICROBATCHES), *((MICROBATCHES[-1], how) for how in MEMORY)]:
        config = replace(config_for(2, micro), **MEMORY.get(how, {}))
        network, step, x, y = network_and_step(config)
        team = PipelinedRanks(place, torch.device("cpu"), control, config)
        team.spread(network, None, x.shape)
        optimizer, piped = make_optimizer(network, config), team.stepping(step)
        one_step = partial(piped, network, optimizer, x, y, 1, BATCH)
        with team.computing(network):
            if how:
                found["memory"][how] = list(
                    zip(team.gathered(allocated(one_step, optimizer)), team.memory, strict=True)
                )
                continue
            found["stages"][micro] = seconds_of(one_step, steps)
        busy = team.gathered(team.busy)
        found["imbalance"] = 2 * max(busy) / sum(busy), 2 * max(team.shares)
    dist.barrier()
    if place.rank == 0:
        print(json.dumps(found))


def allocated(step, optimizer):
    """The most bytes that a step has at once, beside what was there before it."""
    step()
    optimizer.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    total = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            total += event.nbytes()
            peak = max(peak, total)
    return peak


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


def table_1():
    """A row for each network of the table."""
    rows = []
    for stages, layers, filters, paper in TABLE_1:
        parameters, held = activations(stages, layers, filters)
        how = f"{stages} stages, recomputed" if stages else "whole"
        name = f"AmoebaNet-D({layers}, {filters}), {parameters / 1e6:,.0f} M parameters, {how}: activations"
        rows.append((name, held / 1e9, paper, "GB"))
    return rows


def activations(stages, layers, filters, batch=128, size=(224, 224)):
    """Parameters, and bytes of activations in all stages: what crosses into them, and one micro-batch of four a stage.

    Without stages, all activations of the batch.
    """
    from convlens.training.distributed.cutting import block_costs, crossing, cut

    with torch.device("meta"):
        network = amoebanet_d(layers=layers, filters=filters).train()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if not stages:
        return parameters, training_memory(network, (batch, 3, *size)).saved
    microbatches = 4 * stages
    x = torch.empty(batch // microbatches, 3, *size, device="meta")
    segments = cut(network, block_costs(network, x.shape), stages)
    held = 0
    for segment, given in zip(segments, crossing(segments, x), strict=False):
        held += training_memory(segment.module, *given).saved + microbatches * sum(tensor.nbytes for tensor in given)
    return parameters, held


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps, and no table 1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rank-of-two", type=int, metavar="STEPS", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with keeping_freed_memory():  # as trainings do
        measure(given)


def measure(given):
    """What one of two processes measures, or all, printed."""
    if given.rank_of_two:
        one_of_two(given.rank_of_two)
        return
    steps = 2 if given.quick else 15
    (one, peak), two = alone(steps), start_two(steps)
    what = f"{NETWORK}, batch {BATCH}"
    rows = [(f"{what}: two processes against twice one", BATCH / two["together"], 2 * BATCH / one[1], "images/s")]
    for micro, took in two["stages"].items():
        m = int(micro)
        rows.append((f"{what}: bubble of 2 stages, {m} micro-batches", 1 - one[m] / (2 * took), 1 / (m + 1), "share"))
    rows.append(("slowest of 2 stages against the mean, against the anatomy's", *two["imbalance"], "times"))
    rows.append(("peak of a step of one process, against the anatomy's", *(each / 1e6 for each in peak), "MB"))
    for how, stages in two["memory"].items():
        for number, each in enumerate(stages, 1):
            name = f"the same of stage {number} of 2, {MICROBATCHES[-1]} micro-batches, {how}"
            rows.append((name, *(value / 1e6 for value in each), "MB"))
    network = network_and_step(config_for())[0]
    gradients, checkpoint = bytes_of(network, config_for())
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    rows.append(("gradients that a step adds up, against the weights", gradients, weights, "bytes"))
    rows.append(("checkpoint against three times the weights", checkpoint, 3 * weights, "bytes"))
    if not given.quick:
        rows += table_1()
    if given.json:
        named = [dict(zip(("what", "ours", "peer", "unit"), row, strict=True)) for row in rows]
        print(json.dumps({"rows": [row | {"ratio": row["ours"] / row["peer"]} for row in named]}))
        return
    for name, ours, peer, unit in rows:
        print(f"{name:<76} {ours:>14,.3f} {peer:>14,.3f} {unit:<9} {ours / peer:.2f}")


if __name__ == "__main__":
    main()
