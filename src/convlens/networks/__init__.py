"""The networks from LeNet-5 to EfficientNet: one paper a file, a catalogue, published weights."""

from convlens.networks.cards import Card, card, names
from convlens.networks.catalogue import check_size, create
from convlens.networks.outputs import WithAuxiliary

__all__ = ["Card", "WithAuxiliary", "card", "check_size", "create", "names"]
