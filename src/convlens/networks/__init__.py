"""The networks from LeNet-5 to EfficientNet: one paper a file, a catalogue, published weights."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convlens.networks.cards import Card, card, is_name, matching, names
from convlens.networks.catalogue import check_size, create
from convlens.networks.class_names import class_names
from convlens.networks.outputs import WithAuxiliary
from convlens.networks.places import default as default_weights
from convlens.networks.places import installed as installed_weights
from convlens.networks.published import PublishedWeights
from convlens.networks.scaled import is_scaled, read_scaled, scaled_name
from convlens.networks.scaling import Scale, compound_scale

if TYPE_CHECKING:
    from convlens.networks.amoebanet import amoebanet_b as amoebanet_b
    from convlens.networks.amoebanet import amoebanet_d as amoebanet_d
    from convlens.networks.convolutional_heads import fully_convolutional as fully_convolutional
    from convlens.networks.efficientnet import scale_efficientnet as scale_efficientnet
    from convlens.networks.inception import Inception as Inception
    from convlens.networks.inception import InceptionNaive as InceptionNaive
    from convlens.networks.inception import InceptionWidths as InceptionWidths
    from convlens.networks.observation import activations as activations
    from convlens.networks.outline import outlined as outlined

# imported when first used, so that cards can be read without torch
_WITH_TORCH = {
    "Inception": "inception",
    "InceptionNaive": "inception",
    "InceptionWidths": "inception",
    "activations": "observation",
    "amoebanet_b": "amoebanet",
    "amoebanet_d": "amoebanet",
    "fully_convolutional": "convolutional_heads",
    "outlined": "outline",
    "scale_efficientnet": "efficientnet",
}

__all__ = [
    "Card",
    "Inception",
    "InceptionNaive",
    "InceptionWidths",
    "PublishedWeights",
    "Scale",
    "WithAuxiliary",
    "activations",
    "amoebanet_b",
    "amoebanet_d",
    "card",
    "check_size",
    "class_names",
    "compound_scale",
    "create",
    "default_weights",
    "fully_convolutional",
    "installed_weights",
    "is_name",
    "is_scaled",
    "matching",
    "names",
    "outlined",
    "read_scaled",
    "scale_efficientnet",
    "scaled_name",
]


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(import_module(f"convlens.networks.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'convlens.networks' has no attribute {name!r}")
