"""Networks without numbers: names and shapes of their parameters and buffers, and no memory behind them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_RANDOM = {torch.Tensor.normal_, torch.Tensor.uniform_}


@contextmanager
def outlined() -> Iterator[None]:
    """Build networks on the meta device, without initialising them.

    Random numbers for the meta device go through torch's compiler, which takes a second to import.
    """
    with torch.device("meta"), _Uninitialised():
        yield


class _Uninitialised(TorchFunctionMode):
    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in _RANDOM or getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return function(*args, **(kwargs or {}))
