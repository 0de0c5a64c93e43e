"""What modules put out on the way, for any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from convlens.errors import ConvlensError, unknown_name


def activations(net: nn.Module, x: Any, at: str | Sequence[str] | None = None) -> dict[str, Any]:
    """Run a network once and return what modules of it put out.

    The network is left as it was: mode, gradients and hooks. What is returned is a copy, so that a later in-place ReLU
    does not change it, and is part of the gradient graph if gradients are on.

    Args:
        net: any module.
        x: its input, or a tuple of inputs.
        at: names, or one, as in `net.named_modules()`; every module without modules inside when None.

    Returns:
        name -> output, in the order of the first calls: usually a tensor, (N, C, H, W) on the way. A module that is
        called several times gives its last output.

    Raises:
        ConvlensError: a name that the network does not have (the nearest ones are offered), or a module that is not
            called.

    >>> import torch
    >>> from convlens import create
    >>> seen = activations(create("resnet20"), torch.zeros(1, 3, 32, 32), ["layer3"])
    >>> {name: tuple(y.shape) for name, y in seen.items()}
    {'layer3': (1, 64, 8, 8)}
    """
    modules = dict(net.named_modules())
    at = [at] if isinstance(at, str) else at
    if at is None:
        at = [name for name, module in modules.items() if next(module.children(), None) is None]
    for name in at:
        if name not in modules:
            raise unknown_name("module", name, [known for known in modules if known])
    seen: dict[str, Any] = {}
    with hooked({name: modules[name] for name in at}, lambda name, output: seen.__setitem__(name, _copy(output))):
        net(*x) if isinstance(x, tuple) else net(x)
    silent = [name for name in at if name not in seen]
    if silent:
        raise ConvlensError(f"modules that the network did not call: {', '.join(silent)}; leave them out of at")
    return seen


@contextmanager
def hooked(modules: Mapping[str, nn.Module], note: Callable[[str, Any], None]) -> Iterator[None]:
    """Call `note(name, output)` after every call of the modules, inside the block only."""

    def hook(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        note(name, output)

    handles: list[RemovableHandle] = []
    try:
        handles += [module.register_forward_hook(partial(hook, name)) for name, module in modules.items()]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _copy(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, Mapping):
        return {key: _copy(value) for key, value in output.items()}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(_copy(value) for value in output))
    if isinstance(output, list | tuple):
        return type(output)(_copy(value) for value in output)
    return output
