import json

import pytest
import torch
from torch import nn

from convlens import networks
from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.distributed.cutting import block_costs, crossing, cut, partition
from convlens.training.distributed.pipelined import check_pipeline


@pytest.mark.slow
@pytest.mark.parametrize("stages", [2, 4])
def test_losses_gradients_and_statistics_are_those_of_one_process_with_the_same_micro_batches(said, stages):
    told = [said(f"piped{stages}", rank) for rank in range(stages)]
    assert [code for code, _, _ in told] == ["0"] * stages, told[0][2]
    ranks = [json.loads(out) for _, out, _ in told]
    for cases in zip(*ranks, strict=True):
        assert sum(case["own"] for case in cases) == cases[0]["all"]
        for case in cases:
            assert case["loss"] < 1e-5
            assert case["gradient"] < 1e-5
            assert case["statistics"] < 1e-5
            assert case["scores"] == [7, 5]
            assert case["imbalance"] < 1.6


@pytest.mark.parametrize("name", ["resnet20", "googlenet_2014"])
def test_stages_one_after_the_other_are_the_network(name):
    network = networks.create(name, classes=5, size=(80, 112), dropout=0.0).train()
    x = torch.randn(2, 3, 80, 112)
    segments = cut(network, block_costs(network, x.shape), 4)
    given = crossing(segments, x)
    network.eval()
    flowing = (x,)
    with torch.no_grad():
        for segment, expected in zip(segments, given, strict=False):
            assert [tensor.shape for tensor in flowing] == [tensor.shape for tensor in expected]
            flowing = segment.module(*flowing)
        torch.testing.assert_close(flowing[0], network(x))
    assert (segments[-1].auxiliary is not None) == (name == "googlenet_2014")


def test_the_costliest_part_is_as_cheap_as_it_can_be():
    assert partition([5.0, 1, 1, 1, 1, 5], 3) == [1, 5, 6]
    assert partition([1.0, 2, 3], 3) == [1, 2, 3]


def test_what_cannot_be_cut_is_named():
    class ByValue(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ConvlensError, match="ByValue cannot be cut into stages: its forward pass decides by values"):
        block_costs(ByValue(), (1, 3, 8, 8))
    short = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ConvlensError, match="2 blocks one after the other and cannot be cut into 3 stages"):
        cut(short, [1.0, 1.0], 3)


@pytest.mark.parametrize(
    ("settings", "processes", "said"),
    [
        ({"pipeline": 4}, 2, "pipeline is 4 and 2 processes were started; start 4"),
        ({"pipeline": 4}, 6, "6 processes are not a multiple of 4 stages; start 4 or 8"),
        ({"pipeline": 2, "microbatches": 3}, 2, "a batch of 32 cannot be divided into 3 equal micro-batches"),
        ({"pipeline": 2, "microbatches": 8}, 12, "for each of 6 pipelines"),
        ({"pipeline": 2, "layer_decay": 0.5}, 2, "layer_decay is 0.5 together with --pipeline"),
    ],
)
def test_processes_that_cannot_be_the_pipeline_are_said_so(settings, processes, said):
    with pytest.raises(ConvlensError, match=said):
        check_pipeline(TrainConfig(data="digits", **settings), processes)
