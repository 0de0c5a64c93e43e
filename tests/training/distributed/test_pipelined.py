import json

import pytest
import torch
from torch import nn

from convlens import networks
from convlens.anatomy import training_memory
from convlens.errors import ConvlensError
from convlens.training import TrainConfig
from convlens.training.distributed.cutting import block_costs, crossing, cut, partition
from convlens.training.distributed.pipelined import check_pipeline
from convlens.training.distributed.stage_memory import stage_memory


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


def test_a_stage_holds_what_its_schedule_keeps_in_flight():
    network = networks.create("resnet20", classes=5, size=(32, 32)).train()
    segments = cut(network, block_costs(network, (4, 3, 32, 32)), 2)
    shapes = crossing(segments, torch.empty(4, 3, 32, 32))

    def memory(stage, schedule="gpipe", *, microbatches=8, recompute=False):
        given, made = shapes[stage : stage + 2]
        how = {"stage": stage, "stages": 2, "schedule": schedule, "recompute": recompute}
        return stage_memory(segments[stage].module, given, made, microbatches=microbatches, **how)

    one, crossed = training_memory(segments[0].module, *shapes[0]), sum(tensor.nbytes for tensor in shapes[1])
    assert memory(0, microbatches=1) == one.peak + crossed  # the gradient that comes back has its place
    assert memory(0) == memory(0, microbatches=1) + 7 * (one.saved + crossed)
    assert memory(0, "1f1b") == one.peak + 8 * crossed + one.saved  # two stages: two micro-batches are in flight
    assert memory(0, recompute=True) == one.peak + 8 * crossed + 7 * crossed
    assert memory(1, "1f1b") < memory(1, recompute=True) < memory(1)


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
