"""Receptive fields as they are asked for: facts of known networks, gates, patterns, names and mistakes."""

import csv
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import convlens
from convlens.anatomy import inspect
from convlens.errors import ConvlensError

FACTS = Path(__file__).parents[1] / "facts" / "receptive_fields_pytorch.csv"


@pytest.mark.parametrize(
    "row", list(csv.DictReader(FACTS.read_text().splitlines())), ids=lambda row: f"{row['network']} {row['at']}"
)
def test_known_networks(row):
    with torch.device("meta"):
        net = convlens.create(row["network"])
    sheet = inspect(net, (3, 224, 224))
    field = sheet.receptive_field(row["at"]).local
    assert (field.size, field.stride) == (int(row["size"]), int(row["stride"]))


def test_a_squeeze_excite_gate_is_told_apart():
    with torch.device("meta"):
        net = convlens.create("efficientnet_b0")
    sheet = inspect(net, (3, 224, 224))
    field = sheet.receptive_field(next(call.path for call in reversed(sheet.graph.calls) if "Conv" in call.kind))
    assert field.rows == field.columns == (0, 223)
    assert field.is_global
    assert not field.regular
    assert field.word == "global"
    assert field.local.size == 851
    assert field.local.regular
    assert field.local.everything == field
    assert field.everything is field


class Gated(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.GroupNorm(1, 3)
        self.line = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        pooled = x.mean((2, 3), keepdim=True)
        match self.kind:
            case "expanded":
                return x * pooled.sigmoid().expand_as(x)
            case "channel line":
                return x * self.line(pooled.flatten(1)[:, None]).sigmoid().view(1, 3, 1, 1)
            case "divided":
                return x / (x.pow(2).mean((2, 3), keepdim=True) + 1e-6).sqrt()
            case "in place":
                return x.mul_(pooled)
            case "group norm":
                return self.norm(x)
            case "instance norm":
                return F.instance_norm(x)
            case "by hand":
                return (x - pooled) / (x.var((2, 3), keepdim=True) + 1e-6).sqrt()
            case "groups by hand":
                y = x.float().reshape(1, 1, -1)
                variance, mean = torch.var_mean(y, -1, keepdim=True)
                return ((y - mean) * (variance + 1e-6).rsqrt()).view(x.shape)
            case "addcmul":
                return torch.addcmul(x, x, pooled)
            case "addcdiv":
                return torch.addcdiv(x, x, pooled + 1)
            case "lerp":
                return torch.lerp(x, x.flip(1), pooled.sigmoid())
            case "power":
                return x.abs() ** pooled
            case "kernel of its own":
                return F.conv2d(x, pooled.view(3, 1, 1, 1), groups=3)
            case "added":
                return x + pooled


GATES = ["expanded", "channel line", "divided", "in place", "addcmul", "addcdiv", "lerp", "power", "kernel of its own"]
NORMS = ["group norm", "instance norm", "by hand", "groups by hand"]


@pytest.mark.parametrize("kind", GATES + NORMS)
def test_global_gates_and_statistics_are_left_out_of_the_local_field(kind):
    field = inspect(Gated(kind), (3, 16, 16)).receptive_field("", (8, 8))
    assert field.rows == (0, 15)
    assert field.local.rows == (7, 9)
    assert field.local.size == 3


def test_a_global_sum_is_no_gate():
    field = inspect(Gated("added"), (3, 16, 16)).receptive_field("", (8, 8))
    assert field.local.rows == (0, 15)
    assert field.local is field


def test_uneven_enlarging_and_misaligned_branches_have_a_word():
    class Uneven(nn.Module):
        def forward(self, x):
            return F.interpolate(F.avg_pool2d(x, 3, 2, 1), scale_factor=2)

    class Misaligned(nn.Module):
        def forward(self, x):
            return F.avg_pool2d(x, 1, 2) + x[:, :, :8, :8]

    one = inspect(Uneven(), (3, 16, 16)).receptive_field()
    assert (one.regular, one.word, one.size, one.stride, one.offset) == (False, "uneven", 3, None, None)
    other = inspect(Misaligned(), (3, 16, 16)).receptive_field("", (4, 4))
    assert (other.regular, other.word, other.rows) == (False, "misaligned branches", (4, 8))


def test_enlarging_and_averaging_again_is_regular():
    class Again(nn.Module):
        def forward(self, x):
            return F.avg_pool2d(F.interpolate(F.avg_pool2d(x, 2), scale_factor=2), 2)

    field = inspect(Again(), (3, 16, 16)).receptive_field()
    assert (field.regular, field.size, field.stride, field.offset) == (True, 2, 2, 0.5)


def test_holes_are_said_and_a_field_with_holes_is_not_exact():
    field = inspect(nn.Conv2d(3, 4, 3, padding=2, dilation=2), (3, 14, 14)).receptive_field("", (7, 7))
    assert field.axes == ((5, 9), (5, 9))
    assert field.runs == (((5, 5), (7, 7), (9, 9)),) * 2
    assert (field.size, field.holes, field.exact, field.bounds) == (5, True, False, ())
    assert "with holes: rows 5, 7, 9; columns 5, 7, 9" in str(field)
    assert field.to_dict()["runs"][0] == [[5, 5], [7, 7], [9, 9]]
    full = inspect(nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2), nn.Conv2d(4, 4, 2)), (3, 14, 14)).receptive_field()
    assert (full.holes, full.exact) == (False, True)


class Kernel(nn.Conv2d):
    """A convolution with a mask on its weight, as PixelCNN writes it, or with a weight that is not trained."""

    def __init__(self, mask, frozen):
        super().__init__(2, 3, 3, padding=1)
        self.register_buffer("mask", mask)
        self.frozen = frozen
        if frozen:
            self.weight = nn.Parameter(mask.expand(3, 2, 3, 3).clone(), requires_grad=False)

    def forward(self, x):
        if not self.frozen:
            self.weight.data *= self.mask
        return super().forward(x)


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_that_are_always_zero_are_not_looked_through(frozen):
    mask = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 0]])
    net = Kernel(mask, frozen)
    weight = net.weight.detach().clone()
    field = inspect(net, (2, 14, 14)).receptive_field("", (7, 7))
    assert (field.rows, field.columns, field.exact) == ((6, 7), (6, 6), True)
    assert torch.equal(net.weight, weight)
    assert inspect(nn.Conv2d(2, 3, 3, padding=1), (2, 14, 14)).receptive_field("", (7, 7)).columns == (6, 8)


def test_a_map_that_runs_backwards_has_a_negative_stride():
    class Backwards(nn.Module):
        def forward(self, x):
            return F.avg_pool2d(x.flip(3), 2)

    field = inspect(Backwards(), (3, 12, 12)).receptive_field("", (1, 1))
    assert (field.regular, field.stride, field.offset) == (True, (2, -2), (0.5, 10.5))
    assert field.columns == (8, 9)


class Doing(nn.Module):
    def __init__(self, forward, **layers):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self._forward = forward

    def forward(self, x):
        return self._forward(x, self.layers)


PLACES = {
    "a row of joined branches": (
        lambda x, m: torch.cat([m["high"](x), m["wide"](x)], 1)[:, :, [5]], (4, 12, 12), (0, 5), ((4, 6), (3, 7)),
    ),
    "an axis that varies by channel only": (
        lambda x, m: torch.cat([x[:, :, 3:4].expand(1, 4, 12, 12), x[:, :, 5:6].expand(1, 4, 12, 12)], 1),
        (4, 12, 12), (0, 5), ((3, 5), (5, 5)),
    ),
    "channels last within": (lambda x, m: m["high"](x).permute(0, 2, 3, 1), (4, 10, 12), (7, 9), ((6, 8), (8, 10))),
    "channels last from the start": (
        lambda x, m: m["high"](x.permute(0, 3, 1, 2)), (10, 12, 4), (7, 9), ((6, 8), (8, 10)),
    ),
    "many channels last": (
        lambda x, m: m["many"](x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), (10, 12, 32), (7, 9), ((6, 8), (8, 10)),
    ),
    "channels last, normalised and mixed first": (
        lambda x, m: m["high"](m["four"](m["norm"](x)).permute(0, 3, 1, 2)), (10, 12, 5), (7, 9), ((6, 8), (8, 10)),
    ),
    "channels last, seen as tokens first": (
        lambda x, m: m["wide"](x.flatten(1, 2).transpose(1, 2).unflatten(2, (10, 12))), (10, 12, 4), (7, 9),
        ((7, 7), (7, 11)),
    ),
    "one picture, channels last": (
        lambda x, m: m["high"](x[0].permute(2, 0, 1)), (10, 12, 4), (7, 9), ((6, 8), (8, 10)),
    ),
    "channels last and no layer that slides": (lambda x, m: m["line"](x), (10, 12, 4), (7, 9), ((7, 7), (9, 9))),
    "pixels put into channels last": (
        lambda x, m: F.pixel_unshuffle(x, 2).permute(0, 2, 3, 1), (4, 10, 12), (4, 5), ((8, 9), (10, 11)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLACES)
def test_rows_and_columns_are_found_wherever_they_stand(kind):
    forward, size, unit, axes = PLACES[kind]
    layers = {"high": nn.Conv2d(4, 4, 3, padding=1), "wide": nn.Conv2d(4, 4, (1, 5), padding=(0, 2))}
    layers |= {"many": nn.Conv2d(32, 4, 3, padding=1), "line": nn.Linear(4, 6)}
    layers |= {"norm": nn.LayerNorm(5), "four": nn.Linear(5, 4)}
    field = inspect(Doing(forward, **layers), size).receptive_field("", unit)
    assert field.axes == axes


def test_size_is_without_borders_and_the_region_is_clipped():
    sheet = inspect(nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(6))), (3, 8, 10))
    field = sheet.receptive_field("5", (0, 9))
    assert field.size == (25, 25)
    assert (field.rows, field.columns) == ((0, 7), (0, 9))
    assert sheet.receptive_field("1", (0, 9)).axes == ((0, 4), (5, 9))


def test_tokens_and_windows_keep_their_places():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 4, 4)
            self.norm = nn.LayerNorm(8)

        def forward(self, x):
            return self.norm(self.patches(x).flatten(2).transpose(1, 2))

    sheet = inspect(Tokens(), (3, 16, 24))
    for unit in ((1, 4), (10,)):
        field = sheet.receptive_field("norm", unit)
        assert (field.rows, field.columns, field.size, field.stride) == ((4, 7), (16, 19), 4, 4)


def test_several_inputs_have_fields_of_their_own():
    class Two(nn.Module):
        def forward(self, x, y):
            return F.avg_pool2d(x, 3, 1, 1) + y

    sheet = inspect(Two(), (3, 8, 8), (3, 8, 8))
    assert sheet.receptive_field("", (4, 4)).rows == (3, 5)
    assert sheet.receptive_field("", (4, 4), source=1).rows == (4, 4)


def test_a_module_that_returns_several_tensors():
    class Stages(nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = Pyramid()

        def forward(self, x):
            return self.stages(x)[1]

    class Pyramid(nn.Module):
        def forward(self, x):
            return [F.avg_pool2d(x, 2), F.avg_pool2d(x, 4)]

    sheet = inspect(Stages(), (3, 16, 16))
    assert sheet.receptive_field("stages:0").size == 2
    assert sheet.receptive_field("stages:1").size == 4
    with pytest.raises(ConvlensError, match="stages:0, stages:1"):
        sheet.receptive_field("stages")


@pytest.mark.parametrize(
    ("at", "unit", "message"),
    [
        ("stem", None, "unknown module or operation 'stem'"),
        ("0", (9, 9), "lies outside '0', a map of 8×8"),
        ("0", (1, 2, 3), "give 2"),
        ("1", None, "'1' did not run"),
        ("0:3", None, "name one: 0:0"),
    ],
)
def test_mistakes_are_answered(at, unit, message):
    class Some(nn.Sequential):
        def forward(self, x):
            return self[0](x)

    sheet = inspect(Some(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()), (3, 8, 8))
    with pytest.raises(ConvlensError, match=message):
        sheet.receptive_field(at, unit)


class WrittenOut(nn.Module):
    """Writes rows 0 to 3 over rows 4 to 7 by `out=`."""

    def forward(self, x):
        y = x.clone()
        torch.add(y[:, :, :4], 1, out=y[:, :, 4:8])
        return y


def test_what_out_names_is_written_and_not_read():
    field = inspect(WrittenOut(), (3, 8, 8)).receptive_field(unit=(5, 2))
    assert (field.rows, field.columns, field.exact) == ((1, 1), (2, 2), True)
