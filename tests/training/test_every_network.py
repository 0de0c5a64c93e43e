"""Every network of the catalogue trains: a step of each at its full width, and a run of each family from a folder."""

import numpy as np
import pytest
import torch
from PIL import Image

from convlens.networks import amoebanet_b, card, create, names
from convlens.networks.alexnet import AlexNet
from convlens.networks.catalogue import family_of
from convlens.networks.resnet import ResNet
from convlens.networks.vgg import VGG
from convlens.training.optimisers import body_that_learns, heads_that_learn, let_learn, stages
from convlens.training.progress import Silence
from convlens.training.settings import settle
from convlens.training.step import Step
from convlens.training.train import start


@pytest.mark.parametrize("name", names())
def test_every_network_takes_a_step_with_its_body_frozen_and_free(name):
    with torch.device("meta"):  # full width costs nothing there
        sheet = card(name)
        network = create(name, classes=3, channels=1, size=sheet.smallest_size)
        x = torch.zeros(2, 1, *sheet.smallest_size)
        labels = torch.zeros(2, dtype=torch.long)
    config = settle({"data": "digits", "network": name})
    heads = family_of(sheet).heads_of(network)
    step = Step.of(config)
    for frozen in (True, False):
        learning = heads_that_learn(network, heads) if frozen else body_that_learns(network, config)
        let_learn(network.train(), learning)
        network.zero_grad(set_to_none=True)
        step.loss(network(x), labels).backward()
        learnt = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
        free = {key for key, _ in network.named_parameters() if not frozen or key.startswith(heads)}
        assert learnt == (free or {"f6.weight", "f6.bias"})  # LeNet-5's of 1998 compares F6 with bitmaps that are fixed
    staged = {id(p) for stage in stages(network) for module in stage.modules for p in module.parameters()}
    assert staged == {id(parameter) for parameter in network.parameters()}


# what would take long or much memory at full width, narrow
NARROW = {
    "alexnet": lambda asked: AlexNet(hidden=32, classes=asked.classes, channels=asked.channels),
    "vgg11_bn": lambda asked: VGG(
        depths=(1, 1, 2, 2, 2), widths=(8, 8, 8, 8, 8), hidden=32, batch_norm=True, classes=3, channels=asked.channels
    ),
    "amoebanet_b": lambda asked: amoebanet_b(layers=3, filters=16, classes=asked.classes, channels=asked.channels),
    "resnet18": lambda asked: ResNet(
        depths=(1, 1, 1, 1), widths=(8, 8, 16, 16), classes=asked.classes, channels=asked.channels
    ),
    "googlenet": None, "resnet20": None, "mlp": None, "lenet5": None, "lenet5_1998": None, "mobilenet_v2": None,
    "efficientnet_b0": None, "efficientnet_lite0": None,
}  # fmt: skip


def test_every_family_is_trained_below():
    assert {card(name).family for name in NARROW} == {card(name).family for name in names()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 20, 3), np.uint8)
    for number, image in enumerate(pixels):
        path = folder / ("train", "val")[number // 3 % 4 == 3] / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.mark.parametrize("name", NARROW)
def test_a_network_of_every_family_becomes_a_run(name, photos, tmp_path, monkeypatch):
    sheet = card(name)
    if NARROW[name] is not None:
        monkeypatch.setitem(family_of(sheet).networks, name, NARROW[name])
    monkeypatch.setattr("convlens.training.train.report_run", lambda *_: None)
    size = tuple(max(side, 28) for side in sheet.smallest_size)
    asked = {"data": str(photos), "network": name, "size": size, "epochs": 2, "freeze_epochs": 1, "batch": 9}
    run = start(settle(asked | {"tune": False, "threads": 1, "runs": str(tmp_path)}), Silence()).folder
    assert run.description.result["status"] == "finished"
    assert [np.isfinite(row["loss"]) for row in run.metrics()] == [True, True]
