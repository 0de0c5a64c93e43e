"""The analytic region of every unit equals the support of float64 input gradients of an all-positive net."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """A function of a few convolutions, so that each test can write its graph in a line or two."""

    def __init__(self, forward, channels=4, **layers):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self._forward = forward

    def forward(self, x):
        return self._forward(self.stem(x), self.layers)


def conv(kernel=3, stride=1, padding=0, dilation=1, groups=1, into=4, out=4, mode="zeros", **more):
    return nn.Conv2d(into, out, kernel, stride, padding, dilation, groups, padding_mode=mode, **more)


NETS = {
    "plain": lambda x, m: m["a"](m["b"](x)),
    "residual": lambda x, m: F.relu(x + m["same"](x)),
    "residual in place": lambda x, m: m["same"](x).add_(x).relu_(),
    "shortcut with a stride": lambda x, m: m["pad2"](x) + m["one2"](x),
    "inception": lambda x, m: torch.cat([x, m["same"](x), m["wide"](x), F.max_pool2d(x, 3, 1, 1)], 1),
    "inception then depthwise": lambda x, m: m["depth"](torch.cat([x[:, :2], m["wide"](x)[:, 2:]], 1)),
    "inception then one group": lambda x, m: m["groups"](torch.cat([x[:, :2], m["wide"](x)[:, 2:]], 1))[:, 2:],
    "dense": lambda x, m: m["eight"](torch.cat([x, m["wide"](x)], 1)) + x,
    "dilated": lambda x, m: m["dilated"](m["dilated"](x)),
    "dilated branches": lambda x, m: m["dilated"](x) + m["same"](x) + m["far"](x),
    "ceil mode": lambda x, m: F.max_pool2d(m["a"](x), 3, 2, ceil_mode=True),
    "ceil mode average": lambda x, m: F.avg_pool2d(x, 2, 3, 1, ceil_mode=True),
    "dilated pooling": lambda x, m: F.max_pool2d(x, 2, 2, dilation=3),
    "asymmetric padding": lambda x, m: m["a"](F.pad(x, (2, 0, 1, 3))),
    "cropping padding": lambda x, m: m["a"](F.pad(x, (-2, 3, 0, -4))),
    "reflection": lambda x, m: m["b"](F.pad(x, (3, 4, 2, 5), mode="reflect")),
    "replication": lambda x, m: m["b"](F.pad(x, (3, 4, 2, 5), mode="replicate")),
    "circular": lambda x, m: m["round"](x),
    "circular far": lambda x, m: F.pad(x, (5, 2, 1, 6), mode="circular"),
    "reflecting layer": lambda x, m: m["mirror"](x),
    "padding only": lambda x, m: m["outside"](x),
    "padding only, beside a branch": lambda x, m: m["outside"](x) + F.pad(m["same"](x), (2, 2, 2, 2)),
    "strides and holes": lambda x, m: m["hole"](m["hole"](x)),
    "slices": lambda x, m: x[:, :, 1::2, ::3] + x[:, :, :-1:2, : x.shape[3] // 3 * 3 : 3],
    "focus": lambda x, m: m["mix16"](
        torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
    ),
    "flip": lambda x, m: m["a"](x.flip(2)) + m["a"](x),
    "transpose": lambda x, m: m["a"](x.transpose(2, 3)),
    "transpose and residual": lambda x, m: m["same"](x).transpose(2, 3) + x,
    "roll": lambda x, m: m["a"](torch.roll(x, (3, -2), (2, 3))),
    "pixel shuffle": lambda x, m: m["one"](F.pixel_shuffle(m["to16"](x), 2)),
    "pixel unshuffle": lambda x, m: m["mix16"](F.pixel_unshuffle(x, 2)),
    "channel shuffle": lambda x, m: m["depth"](F.channel_shuffle(torch.cat([x[:, :2], m["wide"](x)[:, :2]], 1), 2)),
    "shuffle by views": lambda x, m: m["groups"](
        torch.cat([x[:, :2], m["wide"](x)[:, :2]], 1).view(1, 2, 2, 12, 12).transpose(1, 2).reshape(1, 4, 12, 12)
    )[:, :2],
    "nearest": lambda x, m: m["a"](F.interpolate(m["a"](x), scale_factor=2)),
    "nearest uneven": lambda x, m: F.interpolate(m["a"](x), size=(7, 17)),
    "nearest exact": lambda x, m: F.interpolate(x, size=(7, 17), mode="nearest-exact"),
    "bilinear": lambda x, m: F.interpolate(m["a"](x), scale_factor=2, mode="bilinear"),
    "bilinear thrice": lambda x, m: F.interpolate(x, scale_factor=3, mode="bilinear"),
    "bilinear corners": lambda x, m: F.interpolate(x, size=(23, 9), mode="bilinear", align_corners=True),
    "bilinear down": lambda x, m: F.interpolate(x, size=(5, 7), mode="bilinear"),
    "bilinear smooth": lambda x, m: F.interpolate(x, size=(5, 7), mode="bilinear", antialias=True),
    "feature pyramid": lambda x, m: F.interpolate(m["pad2"](x), size=x.shape[2:]) + m["one"](x),
    "transposed": lambda x, m: m["up"](x),
    "transposed with holes": lambda x, m: m["up3"](m["a"](x)),
    "u-net": lambda x, m: m["eight"](torch.cat([m["up2"](m["pad2"](x)), x], 1)),
    "adaptive": lambda x, m: F.adaptive_avg_pool2d(m["a"](x), (3, 4)),
    "adaptive max": lambda x, m: F.adaptive_max_pool2d(x, (5, 7)),
    "pyramid pooling": lambda x, m: x + F.interpolate(F.adaptive_avg_pool2d(x, 3), size=x.shape[2:], mode="bilinear"),
    "global": lambda x, m: x * 0.5 + m["a"](x).mean((2, 3), keepdim=True),
    "squeeze and excite": lambda x, m: x * torch.sigmoid(m["one"](F.adaptive_avg_pool2d(x, 1))),
    "spatial gate": lambda x, m: x * torch.sigmoid(m["same"](x).mean(1, keepdim=True)),
    "strip pooling": lambda x, m: m["a"](x.mean(3, keepdim=True).expand_as(x)),
    "rows then columns": lambda x, m: x.mean(2, keepdim=True) * 0.3 + m["a"](x).mean(3, keepdim=True).sum(2, True) + x,
    "unfold": lambda x, m: F.unfold(x, 3, padding=1, stride=2).view(1, 36, 6, 6),
    "fold of patches": lambda x, m: x.unfold(2, 4, 2).unfold(3, 3, 3).sum((4, 5)),
    "window mean": lambda x, m: x.view(1, 4, 3, 4, 3, 4).mean((3, 5)),
    "window partition": lambda x, m: (
        m["same"](x)
        .view(1, 4, 3, 4, 3, 4)
        .permute(0, 2, 4, 3, 5, 1)
        .reshape(9, 16, 4)
        .softmax(1)
        .view(1, 3, 3, 4, 4, 4)
        .permute(0, 5, 1, 3, 2, 4)
        .reshape(1, 4, 12, 12)
    ),
    "axial attention": lambda x, m: (
        (x.permute(0, 2, 3, 1) @ x.permute(0, 2, 1, 3)).softmax(-1) @ x.permute(0, 2, 3, 1)
    ).permute(0, 3, 1, 2),
    "masked by zeros": lambda x, m: m["a"](x * (torch.arange(12) > 4)),
    "attention": lambda x, m: (
        F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)] * 3).transpose(1, 2).view(1, 4, 12, 12)
    ),
    "causal attention": lambda x, m: (
        F.scaled_dot_product_attention(
            *[m["same"](x).mean(3).transpose(1, 2)[:, None].contiguous()] * 3, is_causal=True
        )
        .squeeze(1)
        .transpose(1, 2)[..., None]
        + torch.zeros(1, 1, 1, 3)
    ),
    "cumulative": lambda x, m: x.cumsum(2),
    "index": lambda x, m: x[:, :, [5, 3, 3, 11, 0]],
    "index select": lambda x, m: x.index_select(3, torch.tensor([2, 9, 4])),
    "two indices": lambda x, m: x[:, :, torch.tensor([[1], [7]]), torch.tensor([[0, 11, 3]])],
    "repeat": lambda x, m: m["a"](x.repeat(1, 1, 2, 1)),
    "repeat interleave": lambda x, m: m["a"](x.repeat_interleave(2, 3)),
    "joined along rows": lambda x, m: m["a"](torch.cat([m["same"](x), x.flip(2)], 2)),
    "stacked": lambda x, m: torch.stack([x, m["wide"](x)], 2).sum(2),
    "split": lambda x, m: m["same"](x).split(5, 2)[1] + x.chunk(3, 2)[2].repeat(1, 1, 2, 1)[:, :, :5],
    "written in place": lambda x, m: _written(x, m),
    "view written in place": lambda x, m: _written_view(x, m),
    "channels written in place": lambda x, m: _written_channels(x, m),
    "layer norm over channels": lambda x, m: F.layer_norm(m["a"](x).permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2),
    "group norm": lambda x, m: F.group_norm(m["a"](x), 2),
    "instance norm": lambda x, m: F.instance_norm(m["a"](x)),
    "response norm": lambda x, m: F.local_response_norm(m["a"](x), 3),
    "mixer": lambda x, m: (x.flatten(2) @ torch.ones(144, 144, dtype=x.dtype)).view(1, 4, 12, 12) * 0.01,
    "rows mixed": lambda x, m: torch.ones(12, 12, dtype=x.dtype) @ x,
    "einsum": lambda x, m: torch.einsum("bchw,hk->bckw", m["a"](x), torch.ones(x.shape[2] - 2, 5, dtype=x.dtype)),
    "flattened": lambda x, m: m["same"](x.flatten(2).view(1, 4, 6, 24)),
    "gated unit": lambda x, m: F.glu(torch.cat([x, m["wide"](x)], 1), 1),
    "fold": lambda x, m: F.fold(F.unfold(m["same"](x), (3, 2), 1, 1, (2, 1)), (12, 12), (3, 2), 1, 1, (2, 1)),
    "dilated fold": lambda x, m: F.fold(F.unfold(x, (2, 3), (2, 1), 1, (3, 2)), (12, 12), (2, 3), (2, 1), 1, (3, 2)),
    "recurrent": lambda x, m: m["lstm"](m["same"](x).mean(2).transpose(1, 2))[0].transpose(1, 2)[:, :, None],
    "recurrent both ways": lambda x, m: m["gru"](x.mean(3).transpose(1, 2))[0][:, :, :3].transpose(1, 2)[..., None],
    "shared module": lambda x, m: m["same"](m["same"](m["same"](x))),
    "a kernel that shifts": lambda x, m: F.conv2d(x, SHIFT.to(x.dtype).expand(4, 1, 3, 3), padding=1, groups=4),
    "a row of Sobel": lambda x, m: F.conv2d(x, SOBEL.to(x.dtype).expand(2, 4, 3, 3), padding=(1, 2), stride=(2, 1)),
    "a kernel behind a mask": lambda x, m: m["a"](F.conv2d(x, m["same"].weight * CAUSAL.to(x.dtype), padding=1)),
    "a transposed kernel with zeros": lambda x, m: F.conv_transpose2d(
        x, SOBEL.to(x.dtype).expand(4, 2, 3, 3), stride=2
    ),
    "a dilated kernel alone": lambda x, m: m["far"](m["dilated"](x)),
    "circular after enlarging": lambda x, m: m["round"](F.interpolate(x, scale_factor=2)),
    "circular after shuffled pixels": lambda x, m: m["round"](F.pixel_shuffle(m["to16"](x), 2)),
    "circular after a transposed convolution": lambda x, m: m["round"](m["up"](x)),
    "circular after folding": lambda x, m: m["round"](F.fold(F.unfold(x, 2, stride=2), (12, 12), 2, stride=2)),
    "added to a part": lambda x, m: _added_to_a_part(F.pad(F.interpolate(x, scale_factor=2), (0, 0, 1, 0))),
    "joined parts that differ at one end": lambda x, m: torch.cat(
        [x[..., :3].mean(3, keepdim=True), x.mean(3, keepdim=True)], 2
    ).flip(2),
    "one channel of joined branches": lambda x, m: torch.cat([m["same"](x), m["wide"](x)], 1)[:, 2:6][:, :, [5, 7]],
    "enlarged by what keeps the size": lambda x, m: F.interpolate(x, scale_factor=1.05, mode="bilinear"),
    "bicubic smooth": lambda x, m: F.interpolate(x, size=(5, 24), mode="bicubic", antialias=True),
    "a quarter turn": lambda x, m: m["wide"](torch.rot90(m["a"](x), 3, (2, 3))),
    "diagonal": lambda x, m: m["same"](x).diagonal(1, 2, 3)[:, :, None],
    "diagonal put back": lambda x, m: m["same"](torch.diag_embed(x.diagonal(-2, 2, 3))),
    "taken": lambda x, m: m["a"](x).take(torch.arange(0, 400, 7)[:20].view(1, 1, 4, 5)),
    "distances": lambda x, m: torch.cdist(2 * m["same"](x) + 1, x.flip(2)),
    "bilinear layer": lambda x, m: m["pairs"](x, m["same"](x)),
    "triangle": lambda x, m: m["same"](x.tril(2)),
    "put into a slice": lambda x, m: x.slice_scatter(m["same"](x)[:, :, 1:4], 2, 2, 8, 2).select_scatter(
        x[..., 0], 3, 5
    ),
    "a gate of the padding": lambda x, m: F.pad(x, (3, 0, 1, 2)) * x.mean((2, 3), keepdim=True).sigmoid(),
    "chains of views": lambda x, m: m["a"](
        x.permute(0, 3, 1, 2).reshape(1, 12, 4, 12).permute(0, 2, 1, 3).contiguous()
    ),
}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_every_unit_of_a_random_graph(agrees, data):
    """Up to six operations, each on tensors that came before; what does not fit is cropped to the smaller size."""
    steps = data.draw(
        st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), max_size=6)
    )

    def forward(x, m):
        made = [x]
        for name, first, second in steps:
            one, other = made[first % len(made)], made[second % len(made)]
            height, width = min(one.shape[2], other.shape[2]), min(one.shape[3], other.shape[3])
            if STEPS[name].__code__.co_argcount == 3:
                made.append(STEPS[name](one[:, :, :height, :width], other[:, :, -height:, -width:], m))
            elif min(one.shape[2:]) >= 5 and max(one.shape[2:]) < 30:
                made.append(STEPS[name](one, m))
        return made[-1]

    agrees(Net(forward, **layers()), (3, 11, 11))


STEPS = {
    "conv": lambda x, m: m["a"](x),
    "same": lambda x, m: m["same"](x),
    "stride": lambda x, m: m["pad2"](x),
    "wide": lambda x, m: m["wide"](x),
    "dilated": lambda x, m: m["dilated"](x),
    "depthwise": lambda x, m: m["depth"](x),
    "grouped": lambda x, m: m["groups"](x),
    "up": lambda x, m: m["up"](x),
    "round": lambda x, m: m["round"](x),
    "nearest": lambda x, m: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x, m: F.interpolate(x, size=(9, 12), mode="bilinear"),
    "pool": lambda x, m: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "adaptive": lambda x, m: F.adaptive_avg_pool2d(x, (5, 6)),
    "mirror": lambda x, m: F.pad(x, (1, 2, 0, 3), mode="reflect"),
    "crop": lambda x, m: x[:, :, 1:, :-1],
    "flip": lambda x, m: x.flip(3),
    "turn": lambda x, m: x.transpose(2, 3),
    "roll": lambda x, m: torch.roll(x, (1, -2), (2, 3)),
    "gate": lambda x, m: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "rows": lambda x, m: x + x.mean(3, keepdim=True),
    "in place": lambda x, m: x.clone().mul_(2).relu_(),
    "add": lambda x, y, m: x + y,
    "multiply": lambda x, y, m: x * y,
    "join": lambda x, y, m: m["eight"](F.pad(torch.cat([x, y], 1), (1, 1, 1, 1))),
    "mix channels": lambda x, y, m: torch.cat([x[:, :2], y[:, 2:]], 1),
    "write": lambda x, y, m: _overwrite(x, y),
}


SHIFT = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 0]])
SOBEL = torch.tensor([[1.0, 2, 1], [0, 0, 0], [0, 3, 0]])  # without its signs, so that nothing cancels out
CAUSAL = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]])


def _added_to_a_part(y):
    z = y.clone()
    z[:, :, 1:] += y[:, :, :-1]
    return z


def _overwrite(x, y):
    made = x.clone()
    made[:, :3, 1::2] = y[:, 1:, 1::2]
    return made


def _written(x, m):
    y = m["same"](x).clone()
    y[:, :, 2:5, ::2] = x[:, :, 7:10, 6:]
    return y


def _written_view(x, m):
    y = x.clone()
    seen = y.view(1, 4, 144)
    y[:, :, 3] += m["same"](x)[:, :, 9]
    y.transpose(2, 3)[:, :, 1].mul_(m["wide"](x)[:, :, 0])
    return seen.view(1, 4, 12, 12) + 0


def _written_channels(x, m):
    y = torch.zeros_like(x)
    y[:, :2] = x[:, :2]
    y[:, 2:].copy_(m["wide"](x)[:, :2])
    return m["depth"](y)[:, 1:3]


def layers():
    return {
        "a": conv(), "b": conv(2, 2), "same": conv(3, padding=1), "wide": conv((5, 3), padding=(2, 1)), "one": conv(1),
        "pad2": conv(3, 2, 1), "one2": conv(1, 2), "depth": conv(3, padding=1, groups=4),
        "groups": conv(1, groups=2), "eight": conv(3, padding=1, into=8), "dilated": conv(3, padding=2, dilation=2),
        "far": conv(2, padding=3, dilation=6), "round": conv(3, padding=2, mode="circular"),
        "mirror": conv(5, 2, padding=2, mode="reflect"), "outside": conv(1, padding=2), "hole": conv(2, 2, dilation=3),
        "mix16": conv(3, into=16), "to16": conv(3, padding=1, out=16),
        "lstm": nn.LSTM(4, 3, batch_first=True), "gru": nn.GRU(4, 3, batch_first=True, bidirectional=True),
        "up": nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1), "up2": nn.ConvTranspose2d(4, 4, 2, 2),
        "pairs": nn.Bilinear(12, 12, 5), "up3": nn.ConvTranspose2d(4, 4, 2, 3, dilation=2),
    }  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_every_unit_of(name, agrees):
    sheet = agrees(Net(NETS[name], **layers()), (3, 12, 12))
    regular = sheet.receptive_field()
    if regular.regular:  # then offset, stride and size give every unit's region
        rows, columns = sheet.graph.tensors[sheet.graph.outputs[0]].shape[2:]
        for unit in ((r, c) for r in range(rows) for c in range(columns)):
            field = sheet.receptive_field("", unit)
            for axis in (0, 1):
                middle = field.offset[axis] + field.stride[axis] * unit[axis]
                first, last = middle - (field.size[axis] - 1) / 2, middle + (field.size[axis] - 1) / 2
                if first >= 0 and last <= 11:
                    assert field.axes[axis] == (first, last)
