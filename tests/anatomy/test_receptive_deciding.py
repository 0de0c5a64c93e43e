"""Where numbers decide what a unit sees: exact if they are constants, a bound that says so if the input decides."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from convlens.anatomy import inspect

from .conftest import measure
from .test_receptive_exactness import STEPS as OTHERS
from .test_receptive_exactness import Net, layers

GRID = torch.rand(1, 5, 6, 2, generator=torch.Generator().manual_seed(3)) * 2.6 - 1.3
LOCAL = (torch.arange(12)[:, None] - torch.arange(12)).abs() > 2  # rows further than two apart do not see each other
WINDOWS = torch.where(LOCAL, float("-inf"), 0.0)


def sampled(mode, padding, corners):
    return lambda x, m: F.grid_sample(m["a"](x), GRID.to(x.dtype), mode, padding, corners)


def tokens(x):
    """Rows as tokens: (1, 12, 48)."""
    return x.permute(0, 2, 1, 3).flatten(2)


def scores(x):
    return tokens(x) @ tokens(x).transpose(1, 2) / 48


def seen(attention, x):
    """Rows weighed by attention, as a map of one column a feature: (1, 1, 12, 48)."""
    return (attention @ tokens(x))[:, None]


def by_hand(x, m):
    shifted = scores(x) + WINDOWS.to(x.dtype)
    powers = (shifted - shifted.max(-1, keepdim=True).values).exp()
    return seen(powers / powers.sum(-1, keepdim=True), x)


def in_windows_of_heads(x, m):
    """Two heads, with a learned bias beside the mask, as window attention has it."""
    q = tokens(x).view(1, 12, 2, 24).transpose(1, 2)
    weights = (q @ q.transpose(2, 3)).view(1, 1, 2, 12, 12) / 24 + WINDOWS.to(x.dtype)[None, None, None]
    bias = m["bias"].weight.to(x.dtype)
    return (weights.view(1, 2, 12, 12) + bias).softmax(-1).matmul(q).transpose(1, 2).reshape(1, 1, 12, 48)


def mask_by_writing(x, m):
    mask = torch.zeros(12, 12, dtype=x.dtype)
    for row in range(12):
        mask[row, : max(0, row - 1)] = float("-inf")
        mask[row].narrow(0, min(row + 2, 11), 11 - min(row + 2, 11)).fill_(float("-inf"))
    return seen((scores(x) + mask).softmax(-1), x)


EXACT = {
    **{
        f"grid sample, {mode}, {padding}, {corners}": sampled(mode, padding, corners)
        for mode, padding, corners in [
            ("bilinear", "zeros", False), ("bilinear", "border", True), ("bilinear", "reflection", False),
            ("nearest", "zeros", True), ("nearest", "reflection", False), ("bicubic", "zeros", False),
            ("bicubic", "reflection", True), ("bicubic", "border", False),
        ]
    },
    "grid of a rotation": lambda x, m: m["one"](F.grid_sample(x, rotation(x), align_corners=False)),
    "scatter": lambda x, m: x.scatter(3, ROLLED, m["same"](x)[:, :, ::2, ::2]),
    "scatter a number": lambda x, m: x.scatter(2, ROLLED, 0.5),
    "scatter add": lambda x, m: x.scatter_add(2, ROLLED % 3, m["same"](x)[..., :6, :6]),
    "index add": lambda x, m: x.index_add(3, torch.tensor([2, 2, 7]), m["same"](x)[..., 4:7]),
    "index copy": lambda x, m: x.index_copy(3, torch.tensor([2, 5, 7]), m["same"](x)[..., 4:7]),
    "put at indices": lambda x, m: put(x, m["same"](x)),
    "put where a mask says": lambda x, m: filled(m["same"](x)),
    "max unpool at constants": lambda x, m: F.max_unpool2d(m["pad2"](x), UNPOOLED, 2),
    "where": lambda x, m: torch.where(LOCAL, m["wide"](x), x.flip(2)),
    "masked by constants": lambda x, m: m["one"](x.masked_fill(LOCAL, 3.0)),
    "masked by numbers written": lambda x, m: m["a"](x * writing()),
    "scores filled": lambda x, m: seen(scores(x).masked_fill(LOCAL, float("-inf")).softmax(-1), x),
    "scores filled in place": lambda x, m: seen(
        F.dropout(scores(x).masked_fill_(LOCAL, -torch.inf).softmax(-1), 0.0), x
    ),
    "scores added": lambda x, m: seen((WINDOWS.to(x.dtype) + scores(x)).softmax(-1), m["wide"](x)),
    "scores chosen": lambda x, m: seen(torch.where(LOCAL, -torch.inf, scores(x)).softmax(-1), x),
    "scores of a column": lambda x, m: (
        (scores(x) + WINDOWS.to(x.dtype)).softmax(1).transpose(1, 2) @ tokens(x)
    )[:, None],
    "softmax by hand": by_hand,
    "windows of heads": in_windows_of_heads,
    "mask by writing": mask_by_writing,
    "attention with a mask": lambda x, m: F.scaled_dot_product_attention(
        *[tokens(m["same"](x))[:, None]] * 3, attn_mask=~LOCAL
    ),
    "attention with numbers": lambda x, m: F.scaled_dot_product_attention(
        *[tokens(x)[:, None]] * 3, attn_mask=WINDOWS.to(x.dtype) + m["bias"].weight[0, 0].to(x.dtype)
    ),
    "tokens set to zero": lambda x, m: seen(scores(x).softmax(-1), x * (torch.arange(12) > 4).to(x.dtype)[:, None]),
    "einsum of masked scores": lambda x, m: torch.einsum(
        "bij,bjd->bid", scores(x).masked_fill(LOCAL, -torch.inf).softmax(-1), tokens(x)
    )[:, None],
}  # fmt: skip

ROLLED = torch.arange(12).roll(5).expand(1, 4, 12, 12)[:, :, :6, :6]
UNPOOLED = (torch.arange(6)[:, None] * 2 * 12 + torch.arange(6) * 2 + 1).expand(1, 4, 6, 6)


def put(x, y):
    z = x.clone()
    z[:, :, [1, 3], [2, 5]] = y[:, :, 4:6, 7]
    z.index_put_((torch.tensor(0), torch.tensor([1, 1])), y[0, :2], accumulate=True)
    return z


def rotation(x):
    return F.affine_grid(torch.tensor([[[0.8, 0.5, 0.1], [-0.5, 0.8, 0]]]).to(x.dtype), [1, 4, 7, 9], False)


def filled(x):
    x[:, :, torch.arange(12) > 7] = 0.3
    return x


def writing():
    ones = torch.ones(12)
    ones[:5] = 0
    return ones


@pytest.mark.parametrize("name", EXACT)
def test_constants_that_decide_are_followed_exactly(name, agrees):
    net = Net(EXACT[name], **layers(), bias=nn.Conv2d(2, 1, 12))
    sheet = agrees(net, (3, 12, 12), step=5 if "softmax" in name or "scores" in name or "attention" in name else 1)
    assert not sheet.receptive_field().bounds


BOUNDED = {
    "a grid of its own": lambda x, m: F.grid_sample(
        x, m["same"](x)[:, :2].permute(0, 2, 3, 1).tanh(), align_corners=False
    ),
    "an index of its own": lambda x, m: x.index_select(2, (x[0, 0, :, 0] * 3).long().clamp(0, 11)),
    "gather": lambda x, m: x.gather(3, x.argsort(3)),
    "scatter": lambda x, m: torch.zeros_like(x).scatter(2, x.argsort(2), x),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
def test_where_the_input_decides_the_region_is_a_bound(name):
    net = Net(BOUNDED[name], **layers())
    sheet = inspect(net.eval(), (3, 12, 12))
    for unit, measured in measure(net, (3, 12, 12), step=3).items():
        told = sheet.receptive_field("", unit)
        for (first, last), inner in zip(told.axes, measured, strict=True):
            assert not inner or first <= inner[0][0] <= inner[-1][1] <= last
    field = sheet.receptive_field()
    assert not field.exact
    assert "bounded from above, not exact" in str(field)


class Unpooled(nn.Module):
    def __init__(self, kernel, stride, padding, through=False):
        super().__init__()
        self.pool = nn.MaxPool2d(kernel, stride, padding, return_indices=True)
        self.unpool = nn.MaxUnpool2d(kernel, stride, padding)
        self.through = through

    def forward(self, x):
        y, places = self.pool(x)
        return self.unpool(y, places + 0 if self.through else places, output_size=x.shape[2:])


@pytest.mark.parametrize("geometry", [(2, 2, 0), (3, 2, 1), (3, 3, 0)])
def test_the_bound_of_unpooling_is_what_some_input_reaches(geometry):
    """Every pixel is pushed up and down on drawn images: what moves a unit on one of them is its region."""
    net, size = Unpooled(*geometry), 9
    generator = torch.Generator().manual_seed(0)
    moved = torch.zeros(size * size, size * size, dtype=torch.bool)  # pixel, unit
    for _ in range(300):
        x = torch.rand(1, 1, size, size, generator=generator)
        pushed = x.repeat(2 * size * size, 1, 1, 1).flatten(1)
        pushed[torch.arange(2 * size * size), torch.arange(2 * size * size) // 2] += torch.tensor([2.0, -2.0]).repeat(
            size * size
        )
        changed = (net(pushed.view(-1, 1, size, size)) != net(x)).flatten(1)
        moved |= changed.view(size * size, 2, -1).any(1)
    sheet = inspect(net, (1, size, size))
    for unit in range(size * size):
        told = sheet.receptive_field("", divmod(unit, size))
        reached = moved[:, unit].view(size, size)
        rows, columns = reached.any(1).nonzero().flatten().tolist(), reached.any(0).nonzero().flatten().tolist()
        assert told.axes == (((rows[0], rows[-1]), (columns[0], columns[-1])) if rows else (None, None))
    assert sheet.receptive_field().bounds == ("aten.max_unpool2d.default",)


def test_unpooling_at_places_from_elsewhere_may_reach_anywhere():
    assert inspect(Unpooled(2, 2, 0, through=True), (1, 8, 8)).receptive_field("", (0, 0)).rows == (0, 7)


def test_an_operation_without_a_rule_may_see_all_that_its_inputs_see():
    with torch.library._scoped_library("convlens_test", "FRAGMENT") as library:
        library.define("shuffled(Tensor x, Tensor y) -> Tensor")
        library.impl("shuffled", lambda x, y: x.flip(3) + y.sum(), "CompositeExplicitAutograd")
        library.impl("shuffled", lambda x, y: torch.empty_like(x), "Meta")

        class Foreign(nn.Module):
            def forward(self, x):
                return F.relu(torch.ops.convlens_test.shuffled(x[:, :, 2:5], x[:, :, 6:7]))

        field = inspect(Foreign(), (3, 12, 12)).receptive_field("", (0, 0))
    assert (field.rows, field.columns, field.exact) == ((2, 6), (0, 11), False)
    assert field.bounds == ("convlens_test.shuffled.default",)
    assert str(field).startswith("output (0, 0): at most rows 2–6")
    assert field.to_dict()["bounds"] == ["convlens_test.shuffled.default"]


def test_a_gate_made_of_bounds_is_left_out_of_the_local_field_and_a_sampled_map_is_not():
    class Gated(nn.Module):
        def __init__(self, gate):
            super().__init__()
            self.gate = gate

        def forward(self, x):
            moved = F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)
            return x * (moved.mean((2, 3), keepdim=True) if self.gate else moved)

    for gate, rows in ((True, (4, 4)), (False, (0, 7))):
        field = inspect(Gated(gate), (3, 8, 8)).receptive_field("", (4, 4))
        assert field.rows == (0, 7)
        assert field.local.rows == rows


def attended(x, m, mask_by):
    rows = x.permute(0, 2, 1, 3).flatten(2)
    given, count = rows @ rows.transpose(1, 2) / 40, rows.shape[1]
    far = (torch.arange(count)[:, None] - torch.arange(count)).abs() > 1
    weights = mask_by(given, far, torch.where(far, -torch.inf, 0.0).to(x.dtype)).softmax(-1)
    return (weights @ rows).view(1, count, x.shape[1], x.shape[3]).transpose(1, 2)


def put_into(x, m):
    y = x.clone()
    y[:, :, [0, 3, 2], [1, 4, 1]] = m["same"](x)[:, :, 1:4, 2]
    return y


STEPS = {
    **{name: OTHERS[name] for name in ("conv", "same", "stride", "adaptive", "flip", "turn", "bilinear", "in place")},
    "scores added": lambda x, m: attended(x, m, lambda given, far, mask: given + mask),
    "scores filled": lambda x, m: attended(x, m, lambda given, far, mask: given.clone().masked_fill_(far, -torch.inf)),
    "scores chosen": lambda x, m: attended(x, m, lambda given, far, mask: torch.where(far, -torch.inf, given) * 0.5),
    "sampled": lambda x, m: F.grid_sample(x, GRID.to(x.dtype), padding_mode="reflection", align_corners=False),
    "placed": put_into,
    "added": lambda x, m: x.scatter_add(3, torch.arange(x.shape[3]).roll(2).expand(x.shape) % 3, x),
    "chosen": lambda x, m: torch.where(torch.arange(x.shape[3]) % 3 > 0, x, m["same"](x).flip(2)),
    "masked": lambda x, m: x * (torch.arange(x.shape[2]) % 4 > 0).to(x.dtype)[:, None],
}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=4))
def test_constants_that_decide_in_a_random_chain(agrees, steps):
    def forward(x, m):
        for name in steps:
            x = STEPS[name](x, m) if min(x.shape[2:]) >= 5 else x
        return x

    agrees(Net(forward, **layers()), (3, 9, 9), step=7)
