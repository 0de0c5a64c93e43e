"""Modules that compute another way for a while: their class changes, their weights, names and state dict do not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn


@contextmanager
def recast(modules: Sequence[nn.Module], kind: Callable[[type[nn.Module]], type[nn.Module]]) -> Iterator[int]:
    """Give each module the class that `kind` makes of its own, yield how many they are, and put their classes back."""
    before = [module.__class__ for module in modules]
    for module in modules:
        module.__class__ = kind(module.__class__)
    try:
        yield len(modules)
    finally:
        for module, own in zip(modules, before, strict=True):
            module.__class__ = own
