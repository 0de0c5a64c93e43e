"""One network of every family through ONNX and OpenVINO, on images small enough for a quick test.

Fully connected layers are kept narrow, since their width changes nothing about the translation.
"""

import numpy as np
import pytest
import torch
from torch import nn

from convlens import networks
from convlens.artifacts import format_onnx, openvino_graph
from convlens.images import Preprocessing
from convlens.networks.alexnet import PAPER_2012, AlexNet
from convlens.networks.vgg import VGG
from convlens.predicting.engines import OnnxRuntimeEngine, OpenVinoEngine
from convlens.predicting.probabilities import Probabilities

NETWORKS = {
    "mlp": lambda: networks.create("mlp", size=(28, 28)),
    "lenet5_1998": lambda: networks.create("lenet5_1998"),
    "lenet5": lambda: networks.create("lenet5"),
    "alexnet_2012": lambda: AlexNet(plan=PAPER_2012, hidden=32, classes=10),
    "alexnet": lambda: AlexNet(hidden=32, classes=10),
    "vgg11": lambda: VGG(depths=(1, 1, 2, 2, 2), hidden=32, classes=10),
    "vgg11_bn": lambda: VGG(depths=(1, 1, 2, 2, 2), hidden=32, classes=10, batch_norm=True),
    "googlenet_2014": lambda: networks.create("googlenet_2014", classes=10),
    "googlenet": lambda: networks.create("googlenet", classes=10),
    "resnet18": lambda: networks.create("resnet18", classes=10),
    "resnet50_v1": lambda: networks.create("resnet50_v1", classes=10),
    "resnet20": lambda: networks.create("resnet20"),
    "efficientnet_b0": lambda: networks.create("efficientnet_b0", classes=10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_and_openvino_answer_as_the_network_does(name):
    card = networks.card(name)
    side = max(card.smallest_size[0], 28 if name == "mlp" else 32)
    network = shaken(NETWORKS[name]()).eval()
    half = (0.5,) * card.channels
    preprocessing = Preprocessing(size=(side, side), mean=half, std=half, channels=card.channels, crop="center")
    model = format_onnx.translate(network, preprocessing, "float32")
    on_onnxruntime = OnnxRuntimeEngine(model.SerializeToString(), 1)
    on_openvino = OpenVinoEngine(openvino_graph.from_onnx(model), 1, "float32")
    chance = np.random.default_rng(0)
    for batch in (1, 3, 16):
        x = chance.normal(size=(batch, card.channels, side, side)).astype(np.float32)
        with torch.inference_mode():
            expected = np.log(Probabilities(network, torch.float32)(torch.from_numpy(x)).numpy())
        for engine in (on_onnxruntime, on_openvino):
            found = np.log(engine(x))
            spread = expected.max() - expected.min()
            assert np.abs(found - expected).max() < 1e-4 * max(1.0, spread), type(engine).__name__
    operations = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" not in operations
    assert operations & {"Conv", "Gemm", "MatMul"}


def shaken(network):
    """Give every batch norm statistics of its own: fresh ones are the identity, whose folding would show nothing."""
    chance = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=chance)
            module.running_var.uniform_(0.6, 1.5, generator=chance)
            nn.init.uniform_(module.weight, 0.6, 1.2, generator=chance)
            nn.init.normal_(module.bias, 0, 0.1, generator=chance)
    return network
