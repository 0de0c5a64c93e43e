"""Numbers read off a graph, against formulas written out by hand and against the module itself."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convlens.anatomy import WrongShapeError, inspect
from convlens.anatomy.comparison import stages
from convlens.errors import ConvlensError


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.left = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.right = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(12, 10)
        self.unused = nn.Linear(5, 5)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.left(x), self.right(x)], 1)
        return self.head(x.mean((2, 3)))


def test_macs_and_flops_by_hand():
    sheet = inspect(Branches(), (3, 32, 32))
    stem, left, right = 256 * 8 * 27, 256 * 8 * 9, 256 * 4 * 8
    assert sheet.macs == stem + left + right + 120
    norm, relu, mean = 2 * 256 * 4, 256 * 4, 256 * 12
    biases = 256 * 8 + 256 * 4 + 10
    assert sheet.flops == 2 * sheet.macs + biases + norm + relu + mean
    assert sheet.not_counted == {}


def test_rows_add_up_to_the_parameters_of_the_module():
    net = Branches()
    net.left.weight.requires_grad_(False)
    sheet = inspect(net, (3, 32, 32))
    assert sheet.parameters == sum(p.numel() for p in net.parameters()) == sum(row.parameters for row in sheet.rows)
    assert sheet.frozen == 72
    assert sheet.buffers == sum(b.numel() for b in net.buffers())
    assert sheet.rows[-1].kind == "unused"
    assert sheet.rows[-1].parameters == 30


def test_a_shared_module_is_counted_once_in_parameters_and_twice_in_macs():
    conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    sheet = inspect(nn.Sequential(conv, conv), (3, 8, 8))
    assert sheet.parameters == 81
    assert sheet.macs == 2 * 64 * 81


def test_the_tree_adds_up_at_every_depth():
    sheet = inspect(nn.Sequential(Branches(), nn.Linear(10, 2)), (3, 32, 32))
    for node in sheet.modules.walk():
        if node.children and node.path != "0":  # Branches does work of its own: cat and mean
            assert node.macs == sum(child.macs for child in node.children)
        if node.children:
            assert node.parameters == sum(child.parameters for child in node.children)
    assert sheet.modules.find("0.right.0").macs == 256 * 32
    assert sheet.modules.find("0.unused").calls == 0


def test_what_has_no_formula_is_named_and_is_not_zero():
    class Spectral(nn.Module):
        def forward(self, x):
            return torch.fft.rfft2(x).abs()

    sheet = inspect(Spectral(), (1, 8, 8))
    assert list(sheet.not_counted) == ["aten._fft_r2c.default"]
    row = next(row for row in sheet.rows if row.kind == "_fft_r2c")
    assert row.macs is None
    assert row.flops is None
    assert "not counted" in repr(sheet)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [(9, 14), (3, 5)])
def test_every_way_to_resize_has_a_cost(mode, size):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(size=size, mode=mode))
    sheet = inspect(net, (3, 8, 11))
    assert sheet.not_counted == {}
    enlarging = sheet.modules.children[1]
    assert (enlarging.flops == 0) == mode.startswith("nearest")  # which only moves numbers


class Called(nn.Module):
    """A function as a network."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# On one map of 4 × 6: MACs and FLOPs of the one operation that computes.
COUNTED = {
    # columns: 4 rows of 3 outputs that read 3, 4 and 3 of them; then rows: 3 columns of 2 outputs that read 3 each
    "_upsample_bilinear2d_aa": (
        lambda x: F.interpolate(x, (2, 3), mode="bilinear", antialias=True),
        0,
        4 * 17 + 3 * 10,
    ),
    # only the columns change: 4 rows of 3 outputs that read 5, 6 and 5
    "_upsample_bicubic2d_aa": (lambda x: F.interpolate(x, (4, 3), mode="bicubic", antialias=True), 0, 4 * (2 * 16 - 3)),
    "_cdist_forward": (lambda x: torch.cdist(x, x[:, :, :3]), 0, 4 * 3 * (3 * 6 + 1)),
    "_trilinear": (nn.Bilinear(6, 6, 5, bias=False), 4 * 5 * 36, 3 * 4 * 5 * 36),
    "affine_grid_generator": (lambda x: F.affine_grid(x[:, 0, :2, :3], (1, 1, 5, 7), False), 5 * 7 * 2 * 3, 420),
    "diag_embed": (torch.diag_embed, 0, 0),
}


@pytest.mark.parametrize("kind", COUNTED)
def test_operations_that_no_layer_of_its_own_stands_for_are_counted(kind):
    given, macs, flops = COUNTED[kind]
    net = Called((lambda x: given(x, x)) if isinstance(given, nn.Module) else given)
    sheet = inspect(net, (1, 4, 6))
    assert sheet.not_counted == {}
    (row,) = [row for row in sheet.rows if row.kind == kind]
    assert (row.macs, row.flops) == (macs, flops)


def test_bytes_and_intensity():
    sheet = inspect(nn.Conv2d(2, 4, 1, bias=False), (2, 8, 8))
    (row,) = sheet.rows
    assert row.bytes_read == 4 * (2 * 64 + 8)
    assert row.bytes_written == 4 * 4 * 64
    assert row.intensity == 2 * 4 * 64 * 2 / (row.bytes_read + row.bytes_written)


def test_peak_memory_holds_the_shortcut():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))

        def forward(self, x):
            x = self.first(x)
            return x + self.second(torch.relu(x))

    one = 4 * 4 * 64
    assert inspect(Residual(), (4, 8, 8)).memory.tensors == 3 * one  # x, and either relu's two or the sum's two
    assert inspect(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True)), (4, 8, 8)).memory.tensors == one


def test_a_failing_forward_keeps_its_sheet():
    with pytest.raises(WrongShapeError, match="Linear") as caught:
        inspect(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 4)), (3, 32, 32))
    assert [row.kind for row in caught.value.anatomy.rows] == ["convolution", "view", "t", "unused"]
    assert "0" in repr(caught.value.anatomy)


def test_written_forms():
    sheet = inspect(Branches(), (3, 32, 32))
    content = json.loads(sheet.to_json())
    assert content["macs"] == sheet.macs
    assert content["modules"]["children"][0]["path"] == "stem"
    assert sum(row["parameters"] for row in content["rows"]) == sheet.parameters
    assert len(sheet.to_pandas()) == sum(not row.is_room for row in sheet.rows)
    assert sheet._repr_html_().count("<tr>") == 1 + len(list(sheet.modules.walk()))


def test_a_narrow_terminal_cuts_no_number_short():
    text = inspect(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 32, 32)).to_text(width=30)
    assert "224" in text
    assert "…" not in text


@pytest.mark.parametrize("wrong", ["lenet5", Branches])
def test_what_is_no_module_is_refused(wrong):
    with pytest.raises(ConvlensError, match=r"inspect takes a torch.nn.Module, not .*; make one"):
        inspect(wrong, (3, 32, 32))


def test_one_number_is_no_input_size():
    with pytest.raises(ConvlensError, match=r"needs an input size, not 32, such as"):
        inspect(Branches(), 32)


def test_a_stage_has_the_channels_of_its_last_map():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.left, self.right = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3), nn.Conv2d(6, 5, 3)

        def forward(self, x):
            x = self.first(x)  # then some of its channels are chosen, as LeNet-5's C3 does
            return torch.cat([self.left(x[:, [0, 1, 2, 3, 4, 5]]), self.right(x[:, [5, 4, 3, 2, 1, 0]])], 1).relu()

    assert [stage.channels for stage in stages(inspect(Joined(), (3, 8, 8))) if stage.map_size] == [6, 9]


def test_a_stage_is_told_by_its_rows_where_rows_and_columns_are_strided_apart():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=(2, 1), padding=1), nn.Conv2d(4, 4, 3, stride=(3, 2), padding=1))
    assert [stage.rows for stage in stages(inspect(net, (3, 24, 36)))] == [1 / 2, 1 / 6]


def test_an_adaptive_pooling_costs_what_its_windows_hold():
    """Windows that overlap, and of several sizes: a backward pass counts what each output is made of."""
    pool, x = nn.AdaptiveAvgPool2d((3, 4)), torch.ones(1, 2, 10, 7, requires_grad=True)
    used = 0
    for unit in pool(x).flatten():
        (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
        used += int((gradient != 0).sum())
    (row,) = inspect(pool, (2, 10, 7)).rows
    assert row.flops == used
