"""AmoebaNet: the sizes that the papers state, the cells as their tables have them, the second head."""

import pytest
import torch
import torch.nn.functional as F

from convlens.errors import ConvlensError
from convlens.networks import WithAuxiliary, amoebanet_b, amoebanet_cells, amoebanet_d
from convlens.networks.amoebanet import plan_of_cells
from convlens.networks.amoebanet_cells import NORMAL_B, REDUCTION_B, REDUCTION_D, Cell
from networks.reference import same
from networks.test_equivalence import random_statistics


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("build", "layers", "filters", "classes", "parameters"),
    [
        (amoebanet_b, 18, 512, 1000, 557_277_864),
        (amoebanet_b, 3, 36, 1000, 1_151_343),
        (amoebanet_b, 3, 36, 10, 580_113),
        (amoebanet_b, 3, 16, 1000, 380_233),
        (amoebanet_b, 3, 16, 10, 125_803),
    ],
)
def test_sizes_are_exact(build, layers, filters, classes, parameters):
    with torch.device("meta"):
        assert count(build(layers=layers, filters=filters, classes=classes)) == parameters


@pytest.mark.parametrize(
    ("build", "layers", "filters", "millions", "digits"),
    [
        (amoebanet_b, 18, 256, 141.7, 1),
        (amoebanet_b, 18, 208, 94.3, 1),
        (amoebanet_d, 18, 208, 81.1, 1),
        (amoebanet_d, 18, 416, 317.5, 1),
        (amoebanet_d, 18, 544, 540.2, 1),
        (amoebanet_d, 36, 544, 1053, 0),
        (amoebanet_d, 72, 512, 1843, 0),
    ],
)
def test_sizes_are_those_of_the_papers(build, layers, filters, millions, digits):
    with torch.device("meta"):
        assert round(count(build(layers=layers, filters=filters)) / 1e6, digits) == millions


def test_reductions_come_after_a_third_and_two_thirds_of_the_cells():
    names = [(name, width) for name, _, width in plan_of_cells(NORMAL_B, REDUCTION_B, 18, 512)]
    assert names[:3] == [("reduction1", 128), ("reduction2", 256), ("normal1", 512)]
    assert names[names.index(("reduction3", 1024)) - 1] == ("normal6", 512)
    assert names[names.index(("reduction4", 2048)) - 1] == ("normal12", 1024)
    assert len(names) == 18 + 4


# The cells as the authors' published code has them: operation(state) + operation(state)
TABLE = {
    "NORMAL_B": "one(1)+max3(1) none(1)+sep3(0) one(1)+sep3(0) one(2)+none(2) mean3(1)+one(5) > 0 3 4 6",
    "REDUCTION_B": "max2(0)+max3(0) none(2)+three(1) sep5(2)+max3(2) none(3)+sep3(1) mean3(4)+one(3) > 5 6",
    "NORMAL_D": "one(1)+max3(1) none(1)+seven(0) one(0)+seven(0) max3(2)+none(2) mean3(1)+one(5) > 0 3 4 6",
    "REDUCTION_D": "max2(0)+max3(0) none(2)+three(1) seven(2)+max3(2) none(3)+max2(1) mean3(2)+one(3) > 4 5 6",
}


@pytest.mark.parametrize("name", TABLE)
def test_cells_are_those_of_the_table(name):
    def called(operation):
        return next(key for key, value in vars(amoebanet_cells).items() if value is operation)

    plan = getattr(amoebanet_cells, name)
    pairs = [f"{called(p.left)}({p.left_state})+{called(p.right)}({p.right_state})" for p in plan.pairs]
    assert f"{' '.join(pairs)} > {' '.join(map(str, plan.output))}" == TABLE[name]


def norm(w, name, x):
    statistics = (w[f"{name}.running_mean"], w[f"{name}.running_var"])
    return F.batch_norm(x, *statistics, w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-3)


def behind(key):
    """The batch norm behind a convolution in a sequence."""
    *before, index, _ = key.split(".")
    return ".".join([*before, str(int(index) + 1)])


def by_hand(kind, w, x, stride):
    """An operation from its entries, with TensorFlow's padding as its manual states it."""
    if kind in ("max2", "max3"):
        kernel, lowest = int(kind[-1]), x.min() - 1
        return F.max_pool2d(same(x - lowest, kernel, stride), kernel, stride) + lowest  # zeros are never the largest
    for key, kernel in ((key, value) for key, value in w.items() if value.dim() == 4):
        size = tuple(kernel.shape[2:])
        alone = kind == "one" or size != (1, 1)  # the other 1×1 keep the map
        steps = tuple(stride if alone and (side > 1 or size == (1, 1)) else 1 for side in size)
        if kind[:3] == "sep":
            deep = size != (1, 1)
            x = F.conv2d(same(F.relu(x) if deep else x, size, steps), kernel, stride=steps, groups=8 if deep else 1)
            x = x if deep else norm(w, behind(key), x)
        else:
            x = norm(w, behind(key), F.conv2d(same(F.relu(x), size, steps), kernel, stride=steps))
        stride = 1 if alone and size[1] == size[0] else stride  # 1×7 strides one axis, 7×1 the other
    return x


@pytest.mark.parametrize("size", [(8, 10), (9, 7), (10, 13)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", ["max2", "max3", "sep3", "sep5", "three", "seven", "one"])
def test_operations_are_those_of_tensorflow(kind, stride, size):
    operation = random_statistics(getattr(amoebanet_cells, kind)(8, 8, stride))
    x = torch.randn(2, 8, *size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(operation(x), by_hand(kind, operation.state_dict(), x, stride), atol=1e-5, rtol=1e-5)


def test_the_mean_counts_only_what_lies_inside_the_map():
    ones = torch.ones(1, 4, 5, 6)
    torch.testing.assert_close(amoebanet_cells.mean3(4, 4, 1)(ones), ones)


def test_a_factorised_reduction_reads_every_pixel():
    x = torch.zeros(1, 2, 5, 6, requires_grad=True)
    layer = amoebanet_cells.FactorisedReduction(2, 4).eval()
    y = layer(x + 1)
    assert y.shape == (1, 4, 3, 3)
    y.sum().backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert [[bool(seen[i, j]) for j in range(4)] for i in range(2)] == [
        [True, False, True, False],
        [False, True, False, True],
    ]


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 12)])
@pytest.mark.parametrize("plan", [REDUCTION_B, REDUCTION_D])
def test_a_reduction_cell_halves_any_map_as_tensorflow_does(plan, size):
    cell = Cell(plan, channels=6, previous=5, shrunk=True, width=8, stride=2).eval()
    height, width = size
    y = cell(torch.zeros(2, 6, height, width), torch.zeros(2, 5, 2 * height, 2 * width))
    assert y.shape == (2, 8 * len(plan.output), -(-height // 2), -(-width // 2))


def test_the_second_head_has_the_published_size_and_is_gone_in_eval_mode():
    with torch.device("meta"):
        assert count(amoebanet_b(auxiliary=(480, 480)).auxiliary) == 1_785_829
        network = amoebanet_b(layers=3, filters=16, classes=7, auxiliary=(96, 96))
        x = torch.zeros(2, 3, 96, 96)
        output = network(x)
        assert isinstance(output, WithAuxiliary)
        assert (output.weight, [head.shape for head in output.auxiliary]) == (0.4, [(2, 7)])
        assert network.eval()(x).shape == (2, 7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": 2}, "layers=2 must be at least 3"),
        ({"filters": 18}, "filters=18 must be a multiple of 4 from 16 on"),
        ({"filters": 8}, "filters=8 must be a multiple of 4 from 16 on"),
        ({"auxiliary": (32, 32)}, "needs maps of 5×5 or more, not 2×2"),
    ],
)
def test_sizes_that_cannot_be_built(values, message):
    with torch.device("meta"), pytest.raises(ConvlensError, match=message):
        amoebanet_b(**{"layers": 3, "filters": 16, **values})
