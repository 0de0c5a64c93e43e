"""Every family learns: 64 images by heart, and a gradient for every parameter."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from convlens.networks import WithAuxiliary, amoebanet_b, amoebanet_d, create, scale_efficientnet
from convlens.networks.alexnet import ONE_WEIRD_TRICK, PAPER_2012, AlexNet
from convlens.networks.efficientnet import EfficientNet
from convlens.networks.efficientnet_lite import EfficientNetLite
from convlens.networks.googlenet import BATCH_NORM, PAPER_2014, TABLE_1, GoogLeNet
from convlens.networks.inception import AuxiliaryHead, InceptionWidths
from convlens.networks.mobilenet_v2 import MobileNetV2
from convlens.networks.resnet import ResNet
from convlens.networks.vgg import VGG

NARROW = (8, 16, 16, 32)
STEPS = 300


def alexnet(plan):
    return AlexNet(plan=replace(plan, widths=(8, 16, 16, 16, 16)), hidden=256, classes=10, channels=1, dropout=0.0)


def vgg():
    return VGG(depths=(1, 1, 1, 1, 1), widths=(8, 8, 16, 16, 16), hidden=32, channels=1, dropout=0.0, batch_norm=True)


def googlenet(plan, auxiliary):
    table = {name: InceptionWidths(*(max(1, width // 16) for width in row)) for name, row in TABLE_1.items()}
    stem = (4, 12)
    return GoogLeNet(plan=plan, table=table, stem=stem, auxiliary=auxiliary, classes=10, channels=1, dropout=0.0)


# a narrow network, the side of its images, a learning rate
FAMILIES = {
    "mlp": (lambda: create("mlp", size=(16, 16)), 16, 3e-3),
    "lenet5": (lambda: create("lenet5"), 32, 3e-3),
    "lenet5_1998": (lambda: create("lenet5_1998"), 32, 3e-3),
    "alexnet": (lambda: alexnet(ONE_WEIRD_TRICK), 63, 3e-3),
    "alexnet_2012": (lambda: alexnet(PAPER_2012), 67, 3e-3),
    "vgg": (vgg, 32, 3e-3),
    "googlenet": (lambda: googlenet(BATCH_NORM, False), 32, 3e-3),
    "googlenet_2014": (lambda: googlenet(PAPER_2014, True), 79, 3e-3),
    "resnet18": (lambda: ResNet(depths=(2, 2, 2, 2), widths=NARROW, channels=1), 32, 3e-3),
    "resnet50": (lambda: ResNet(kind="bottleneck", depths=(1, 1, 1, 1), widths=NARROW, channels=1), 32, 3e-3),
    "resnet50_v1": (lambda: ResNet(kind="bottleneck_v1", depths=(1, 1, 1, 1), widths=NARROW, channels=1), 32, 3e-3),
    "plain18": (lambda: ResNet(kind="plain", depths=(2, 2, 2, 2), widths=NARROW, channels=1), 32, 3e-3),
    "resnet20": (lambda: create("resnet20", channels=1), 16, 3e-3),
    "efficientnet": (
        lambda: EfficientNet(depth=0.5, width=0.25, channels=1, dropout=0.0, stochastic_depth=0.0),
        32,
        1e-2,
    ),
    "efficientnet_lite": (
        lambda: EfficientNetLite(depth=0.5, width=0.25, channels=1, dropout=0.0, stochastic_depth=0.0),
        32,
        1e-2,
    ),
    "amoebanet_b": (lambda: amoebanet_b(layers=3, filters=16, classes=10, channels=1, dropout=0.0), 32, 3e-3),
    "amoebanet_d": (lambda: amoebanet_d(layers=3, filters=16, classes=10, channels=1, dropout=0.0), 32, 3e-3),
    "mobilenet_v2": (lambda: MobileNetV2(width=0.25, channels=1, dropout=0.0), 32, 1e-2),
}


def digits(size):
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images[:64], dtype=torch.float32).reshape(-1, 1, 8, 8) / 8 - 1
    return interpolate(x, size=(size, size), mode="bilinear", antialias=False), torch.tensor(labels[:64])


def loss_of(output, labels):
    if isinstance(output, WithAuxiliary):
        heads = sum(cross_entropy(scores, labels) for scores in output.auxiliary)
        return cross_entropy(output.logits, labels) + output.weight * heads
    return cross_entropy(output, labels)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "googlenet_2014")) for name in FAMILIES]
)
def test_a_family_learns_64_images_by_heart(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build, size, rate = FAMILIES[name]
        network, (images, labels) = build(), digits(size)
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0)
        unreached = {name for name, _ in network.named_parameters()}
        for _ in range(STEPS):
            optimizer.zero_grad()
            output = network(images)
            loss_of(output, labels).backward()
            unreached -= {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
            optimizer.step()
            scores = output.logits if isinstance(output, WithAuxiliary) else output
            right = int((scores.argmax(1) == labels).sum())
            if right == 64 and not unreached:
                break
        assert (right, unreached) == (64, set())


def test_googlenets_heads_count_three_tenths_and_are_gone_in_eval_mode():
    network = googlenet(PAPER_2014, True)
    output = network(torch.zeros(2, 1, 224, 224))
    assert output.weight == 0.3
    assert [head.shape for head in output.auxiliary] == [(2, 10), (2, 10)]
    with torch.no_grad():
        assert network.eval()(torch.zeros(2, 1, 224, 224)).shape == (2, 10)


def test_residual_blocks_start_as_the_identity():
    network = ResNet(depths=(1, 1, 1, 1), widths=NARROW)
    x = torch.rand(2, 8, 6, 6)
    torch.testing.assert_close(network.layer1(x), x)


def test_alexnets_biases_start_as_section_5_says():
    network = create("alexnet_2012", classes=10)
    biases = {
        name: module.bias.unique().tolist() for name, module in network.named_modules() if hasattr(module, "bias")
    }
    ones = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert biases == {name: [1.0 if name in ones else 0.0] for name in ("conv1", "conv3", "fc8", *ones)}
    assert network.conv3.weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_stochastic_depth_leaves_residuals_out_in_training_only():
    from convlens.networks.mbconv import StochasticDepth

    layer = StochasticDepth(0.5)
    x = torch.ones(4000, 1, 1, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert set(layer(x).unique().tolist()) == {0.0, 2.0}
        assert layer(x).mean().item() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(layer.eval()(x), x)
    with torch.device("meta"):
        drops = [m.drop for m in scale_efficientnet(depth=1.0, width=1.0).modules() if isinstance(m, StochasticDepth)]
    assert drops[0] == 0
    assert max(drops) == pytest.approx(0.2 * 14 / 16)
    assert isinstance(layer, nn.Module)


def test_an_auxiliary_head_pools_without_padding():
    """5×5 windows of stride 3 (Szegedy et al. 2014, section 5), on a map that is not square: zeros would show."""
    pooled = AuxiliaryHead(8, 10, batch_norm=False).pool(torch.ones(1, 8, 14, 17))
    assert pooled.shape == (1, 8, 4, 5)
    assert (pooled == 1).all()
