"""LeNet-5 layer by layer against section II-B of the paper."""

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from convlens.networks import create
from convlens.networks.bitmaps import codes
from convlens.networks.lenet_1998 import Subsampling

PAPER = list(csv.DictReader((Path(__file__).parents[1] / "facts" / "lenet5_1998.csv").read_text().splitlines()))


def connections(module, maps):
    """Connections of one layer as the paper counts them: the bias of every unit is one."""
    pixels = maps.shape[-1] * maps.shape[-2] if maps.dim() == 4 else 1
    if isinstance(module, Subsampling):
        return maps.shape[1] * pixels * 5
    return sum(p.numel() for p in module.parameters()) * pixels


def test_parameters_and_connections_are_the_papers():
    network = create("lenet5_1998")
    rows, handles = {}, []
    for name in ("c1", "s2", "c3", "s4", "c5", "f6"):
        layer = network.get_submodule(name)

        def note(module, inputs, output, name=name):
            rows[name.upper()] = (sum(p.numel() for p in module.parameters()), connections(module, output))

        handles.append(layer.register_forward_hook(note))
    network(torch.zeros(1, 1, 32, 32))
    rows["output (RBF)"] = (0, network.output.bitmaps.numel())
    rows["total"] = tuple(sum(column) for column in zip(*rows.values(), strict=True))
    assert rows == {row["layer"]: (int(row["parameters"]), int(row["connections"])) for row in PAPER}


def test_a_map_of_c3_sees_the_maps_that_table_1_marks():
    table = [
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    ]
    c3 = create("lenet5_1998").c3
    for source in range(6):
        x = torch.zeros(1, 6, 14, 14)
        x[:, source] = torch.rand(14, 14)
        change = (c3(x) - c3(torch.zeros(1, 6, 14, 14))).abs().amax(dim=(0, 2, 3))
        assert "".join("X" if value > 0 else "." for value in change) == table[source]


def test_subsampling_adds_four_pixels_and_scales_them():
    layer = Subsampling(1)
    nn.init.constant_(layer.weight, 0.5)
    nn.init.constant_(layer.bias, 1.0)
    assert layer(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).item() == pytest.approx(6.0)


def test_the_score_of_a_bitmap_is_highest_for_its_class():
    network = create("lenet5_1998")
    scores = network.output(codes(10))
    assert scores.argmax(dim=1).tolist() == list(range(10))
    assert scores.diagonal().abs().max() == 0


def test_bitmaps_are_twelve_by_seven_of_plus_and_minus_one_and_all_different():
    table = codes(60)
    assert table.shape == (60, 84)
    assert set(table.unique().tolist()) == {-1.0, 1.0}
    distances = torch.cdist(table, table, p=0) + 84 * torch.eye(60)
    assert distances.min() >= 4
    assert torch.equal(table, codes(60))
