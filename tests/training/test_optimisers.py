from torch import nn

from convlens.training import TrainConfig
from convlens.training.optimisers import make_optimizer, split_by_decay


def test_norms_and_biases_are_not_decayed():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decayed, others = split_by_decay(network)
    assert [tuple(p.shape) for p in decayed] == [(4, 3, 3, 3), (2, 4)]
    assert [tuple(p.shape) for p in others] == [(4,), (4,), (4,), (2,)]
    optimizer = make_optimizer(network, TrainConfig(data="digits", weight_decay=0.1))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
