"""A network with weights: which file is meant, what it holds, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from convlens.errors import ConvlensError, unknown_name
from convlens.networks import loading
from convlens.networks.cards import Card, card, names
from convlens.networks.catalogue import builder_of, family_of
from convlens.networks.checkpoints import SUFFIXES, read_checkpoint
from convlens.networks.families import Family, Request
from convlens.networks.outline import outlined
from convlens.networks.published import PublishedWeights

# How many networks, the nearest in size first, are compared with weights that do not fit.
_COMPARED = 12


def create_with_weights(
    sheet: Card,
    family: Family,
    weights: str | Path,
    classes: int | None,
    channels: int | None,
    size: tuple[int, int] | None,
    dropout: float | None,
) -> nn.Module:
    """Build the network of a card and fill it; None means what the weights were made for."""
    path, published = _find(sheet, family, weights)
    entries = loading.to_our_names(read_checkpoint(path), _outline(sheet, family), family)
    request = Request(
        classes=classes or loading.classes_of(entries, family) or sheet.classes,
        channels=channels or loading.channels_of(entries, family) or sheet.channels,
        size=size or sheet.input_size,
        dropout=dropout,
    )
    network = builder_of(sheet, family)(request)
    source = str(weights)
    adapted = loading.adapt(entries, network, family, source)
    missing, unexpected, misshapen = loading.find_misfits(adapted, network, family)
    if missing or unexpected or misshapen:
        like = looks_like(read_checkpoint(path))
        raise loading.WeightsMismatchError(source, sheet.name, missing, unexpected, misshapen, like)
    loading.load(adapted, network, source)
    if published is not None and family.prepare is not None:
        family.prepare(network, published.preprocessing)
    return network


def looks_like(entries: Mapping[str, Tensor]) -> str | None:
    """Return the network of the catalogue that weights belong to, whatever their classes and channels; None if none."""
    counted = sum(value.numel() for name, value in entries.items() if "running_" not in name)
    nearest = sorted((card(name) for name in names()), key=lambda sheet: abs(sheet.parameters - counted))
    for sheet in nearest[:_COMPARED]:
        family = family_of(sheet)
        outline = _outline(sheet, family)
        renamed = loading.to_our_names(entries, outline, family)
        on_meta = {name: torch.empty_like(value, device="meta") for name, value in renamed.items()}
        own = outline.state_dict()
        flexible = (f"{family.first}.weight", *(f"{head}." for head in family.heads))
        on_meta |= {name: own[name] for name in on_meta.keys() & own.keys() if name.startswith(flexible)}
        if not any(loading.find_misfits(on_meta, outline, family)):
            return sheet.name
    return None


def _outline(sheet: Card, family: Family) -> nn.Module:
    """The network without memory: names and shapes of its entries."""
    request = Request(classes=sheet.classes, channels=sheet.channels, size=sheet.input_size, dropout=None)
    with outlined():
        return builder_of(sheet, family)(request)


def _find(sheet: Card, family: Family, weights: str | Path) -> tuple[Path, PublishedWeights | None]:
    """Tell a published name from a file, and get the file."""
    published = sheet.named(weights)
    if published is not None:
        from convlens.networks.download import fetch

        return fetch(published), published
    path = Path(weights).expanduser()
    if path.suffix.lower() in SUFFIXES or path.exists():
        return path, sheet.published(path) if family.prepare is not None else None
    if not sheet.weights:
        raise ConvlensError(f"weights={str(weights)!r}: none are published for {sheet.name}; give a file of weights")
    raise unknown_name(f"weights of {sheet.name}", str(weights), sheet.weights)
