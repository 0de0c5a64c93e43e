"""Weights into a network: names converted, every entry accounted for, head and first kernel adapted."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from convlens.errors import ConvlensError
from convlens.networks.families import Family

log = logging.getLogger("convlens.networks")

_NAMED_IN_A_MESSAGE = 5


class WeightsMismatchError(ConvlensError):
    """Weights that do not fit a network.

    Attributes:
        missing: entries of the network that the weights lack.
        unexpected: entries of the weights that the network lacks.
        misshapen: entry -> (shape in the weights, shape in the network).
    """

    def __init__(
        self,
        source: str,
        network: str,
        missing: list[str],
        unexpected: list[str],
        misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
        looks_like: str | None,
    ) -> None:
        self.missing, self.unexpected, self.misshapen = missing, unexpected, misshapen
        shapes = [f"{name} {theirs} for {ours}" for name, (theirs, ours) in misshapen.items()]
        kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        parts = [f"{len(named)} {kind} ({_first(named)})" for kind, named in kinds.items() if named]
        hint = f"they look like {looks_like}: create that" if looks_like else "they fit no network of the catalogue"
        super().__init__(f"the weights {source} do not fit {network}: {'; '.join(parts)}; {hint}")


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED_IN_A_MESSAGE]) + (", …" if len(names) > _NAMED_IN_A_MESSAGE else "")


def to_our_names(entries: Mapping[str, Tensor], network: nn.Module, family: Family) -> dict[str, Tensor]:
    """Rename entries from whichever declared layout explains most of them; what none explains keeps its name."""
    ours = network.state_dict().keys()
    candidates = [dict(entries)]
    for layout in family.layouts.values():
        modules = layout(network)
        candidates.append({_rename(name, modules): value for name, value in entries.items()})
    return max(candidates, key=lambda renamed: len(ours & renamed.keys()))


def _rename(name: str, modules: Mapping[str, str]) -> str:
    module, _, leaf = name.rpartition(".")
    return f"{modules[module]}.{leaf}" if module in modules else name


def classes_of(entries: Mapping[str, Tensor], family: Family) -> int | None:
    """Return the number of classes that the head in the weights has, None where there is no head."""
    for name, value in entries.items():
        if name.rpartition(".")[0] == family.heads[0] and value.dim() > 0:
            return int(value.shape[0])
    return None


def channels_of(entries: Mapping[str, Tensor], family: Family) -> int | None:
    """Return the number of channels of the images that the weights are for, None where they do not say."""
    kernel = entries.get(f"{family.first}.weight")
    return int(kernel.shape[1]) if kernel is not None and kernel.dim() == 4 else None


def find_misfits(
    entries: Mapping[str, Tensor], network: nn.Module, family: Family
) -> tuple[list[str], list[str], dict[str, tuple[tuple[int, ...], tuple[int, ...]]]]:
    """Return the entries that are missing, unexpected and of another shape; none of the optional ones."""
    own = network.state_dict()
    missing = [name for name in own if name not in entries and not _may_be_missing(name, family)]
    unexpected = [name for name in entries if name not in own and not name.startswith(family.optional)]
    misshapen = {
        name: (tuple(value.shape), tuple(own[name].shape))
        for name, value in entries.items()
        if name in own and value.shape != own[name].shape
    }
    return missing, unexpected, misshapen


def adapt(entries: Mapping[str, Tensor], network: nn.Module, family: Family, source: str) -> dict[str, Tensor]:
    """Bring entries to the network's shapes where that is meant: first kernel, heads, linear layers as convolutions."""
    own = network.state_dict()
    adapted = {name: _as_linear(value, own[name]) if name in own else value for name, value in entries.items()}
    kernel = f"{family.first}.weight"
    if kernel in adapted and kernel in own:
        adapted[kernel] = _for_channels(adapted[kernel], own[kernel])
    for head in family.heads:
        names = [name for name in adapted if name.startswith(f"{head}.") and name in own]
        if any(_differs_in_classes(adapted[name], own[name]) for name in names):
            log.warning(
                "%s starts anew: %s has %d classes, %d are wanted",
                *(head, source, len(adapted[names[0]]), len(own[names[0]])),
            )
            adapted |= {name: own[name] for name in names}
    return adapted


def load(entries: dict[str, Tensor], network: nn.Module, source: str) -> None:
    """Copy adapted entries that fit into the network."""
    own = network.state_dict()
    left_out = [name for name in entries if name not in own]
    if left_out:
        log.info("%d optional entries of %s left out: %s", len(left_out), source, ", ".join(left_out[:5]))
    with torch.no_grad():
        network.load_state_dict({name: entries.get(name, value) for name, value in own.items()})


def _may_be_missing(name: str, family: Family) -> bool:
    """Old files lack the counters of batch norm, which only matter where momentum is None."""
    return name.startswith(family.optional) or name.endswith(".num_batches_tracked")


def _as_linear(value: Tensor, own: Tensor) -> Tensor:
    """A convolution over the whole map is a linear layer on the flattened map."""
    if value.dim() == 4 and own.dim() == 2 and value.numel() == own.numel():
        return value.reshape(own.shape)
    return value


def _for_channels(kernel: Tensor, own: Tensor) -> Tensor:
    """One channel: the kernel summed, as if all channels were equal. Others: repeated, and scaled to the same sum."""
    if kernel.dim() != 4 or own.dim() != 4 or kernel.shape[1] == own.shape[1]:
        return kernel
    had, wanted = kernel.shape[1], own.shape[1]
    if wanted == 1:
        return kernel.sum(dim=1, keepdim=True)
    repeated = kernel.repeat(1, -(-wanted // had), 1, 1)[:, :wanted]
    return repeated * (had / wanted)


def _differs_in_classes(value: Tensor, own: Tensor) -> bool:
    return value.dim() > 0 and value.shape[1:] == own.shape[1:] and len(value) != len(own)
