"""Checks of what arrives at a network, with an answer that says what would fit."""

import torch
from torch import Tensor, fx

from convlens.errors import ConvlensError


def check_smallest(x_NCHW: Tensor, smallest: tuple[int, int]) -> None:
    """Raise if an image is too small for the layers; tracers and compilers pass, for them sizes are symbols."""
    if _sizes_are_symbols(x_NCHW):
        return
    height, width = x_NCHW.shape[-2:]
    if height < smallest[0] or width < smallest[1]:
        raise ConvlensError(
            f"images of {height}×{width} pixels are too small for this network; "
            f"its layers need at least {smallest[0]}×{smallest[1]}"
        )


def check_exact(x_NCHW: Tensor, size: tuple[int, int] | None) -> None:
    """Raise if an image has another size than the one that the linear layers were made for."""
    if size is None or _sizes_are_symbols(x_NCHW):
        return
    height, width = x_NCHW.shape[-2:]
    if (height, width) != size:
        raise ConvlensError(
            f"images of {height}×{width} pixels do not fit this network, made for {size[0]}×{size[1]}; "
            f"create it with size=({height}, {width})"
        )


def _sizes_are_symbols(x: Tensor | fx.Proxy) -> bool:
    if isinstance(x, fx.Proxy) or torch.compiler.is_compiling():
        return True
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
