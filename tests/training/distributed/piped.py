"""One stage of a pipeline beside the whole network in one process: losses, gradients and statistics of a step.

Prints the largest differences, relative to the largest value of each tensor.
"""

import copy
import json

import torch

from convlens.networks.amoebanet import amoebanet_b
from convlens.training import TrainConfig
from convlens.training.distributed.launch import launched
from convlens.training.distributed.meeting import join, meet
from convlens.training.distributed.pipelined import PipelinedRanks
from convlens.training.step import Step

BATCH, MICRO, SIZE = 12, 6, (21, 27)


def difference(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-12)).item()


def whole_in_parts(network, step, x, y):
    """The same micro-batches in one process; the statistics of its first norm are those of the whole batch."""
    loss = 0.0
    for part, labels in zip(x.chunk(MICRO), y.chunk(MICRO), strict=True):
        one = step.loss(network(part), labels) / len(x)
        one.backward()
        loss += one.item()
    return loss


def compare(place, control, schedule, recompute):
    torch.manual_seed(0)
    network = amoebanet_b(layers=3, filters=16, classes=5, dropout=0.0).train()
    x, y = torch.randn(BATCH, 3, *SIZE), torch.randint(0, 5, (BATCH,))
    whole, step = copy.deepcopy(network), Step(label_smoothing=0.1, clip_norm=0.0)
    loss = whole_in_parts(whole, step, x, y)
    config = TrainConfig(
        data="digits", batch=BATCH, pipeline=place.size, microbatches=MICRO, schedule=schedule, recompute=recompute
    )
    team = PipelinedRanks(place, torch.device("cpu"), control, config)
    team.spread(network, None, x.shape)
    optimizer = torch.optim.SGD([p for p in network.parameters() if not p.is_meta], lr=0.0)
    with team.computing(network):
        found = team.mean(team.stepping(step)(network, optimizer, x, y, 1, team.counted(len(x))))
    named = dict(whole.named_parameters())
    own = {name: p for name, p in network.named_parameters() if not p.is_meta}
    first = network.stem.bn
    expected = whole.stem.conv(x).transpose(0, 1).flatten(1)
    statistics = (
        []
        if first.running_mean.is_meta
        else [
            difference(first.running_mean, 0.1 * expected.mean(dim=1)),
            difference(first.running_var, 0.9 + 0.1 * expected.var(dim=1)),
            first.num_batches_tracked.item() - 1.0,
        ]
    )
    with torch.no_grad():
        scores = team.evaluating(network.eval())(x[:7])
    return {
        "own": len(own),
        "all": len(named),
        "loss": abs(found.item() - loss),
        "gradient": max(difference(p.grad, named[name].grad) for name, p in own.items()),
        "statistics": max(statistics, default=0.0),
        "scores": list(scores.shape),
        "imbalance": max(team.shares) * place.size,
    }


def main(_folder):
    place = launched()
    control, _ = join(place, meet(place), torch.device("cpu"))
    cases = [("gpipe", False), ("1f1b", True)] if place.size == 2 else [("gpipe", True)]
    print(json.dumps([compare(place, control, *case) for case in cases]))
