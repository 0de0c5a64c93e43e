"""Convolution: every window of a small example, and the same kernel on a picture."""

from base64 import b64encode
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from convlens import arithmetic
from convlens.explorer.session import Session
from convlens.explorer.shelf import png, scaled

Number = Annotated[int | float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Line = Annotated[list[Number], Field(min_length=1, max_length=16)]
Plane = Annotated[list[Line], Field(min_length=1, max_length=16)]
Planes = Annotated[list[Plane], Field(min_length=1, max_length=16)]

LONGEST_PICTURE = 360


class Layer(BaseModel):
    """How a kernel is slid; the names and meanings are those of `torch.nn.Conv2d`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Literal["correlation", "convolution"] = "correlation"
    stride: int = Field(1, ge=1, le=8)
    padding: int = Field(0, ge=0, le=8)
    dilation: int = Field(1, ge=1, le=8)
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros"


class Example(Layer):
    """A layer in numbers: input `(C, H, W)`, and `filters` kernels of `(C / groups, kH, kW)`, plane after plane."""

    input: Planes
    kernel: Planes
    filters: int = Field(1, ge=1, le=8)
    groups: int = Field(1, ge=1, le=8)
    bias: Number = 0


class OnPicture(Layer):
    """A kernel and the picture that it slides over."""

    kernel: Plane
    picture: str


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/convolution`."""
    router = APIRouter()

    @router.post("/convolution")
    def windows(example: Example) -> dict[str, Any]:
        return _windows(example)

    @router.post("/convolution/picture")
    def picture(asked: OnPicture) -> dict[str, Any]:
        return _on_picture(asked, session.images.get(asked.picture).pixels)

    return router


def _windows(example: Example) -> dict[str, Any]:
    """The walk over all windows, and the output size with the numbers that give it."""
    kernel = _kernels(example)
    walk = arithmetic.steps(
        example.input,
        kernel,
        [example.bias] * example.filters,
        operation=example.operation,
        stride=example.stride,
        padding=example.padding,
        dilation=example.dilation,
        groups=example.groups,
        padding_mode=example.padding_mode,
    )
    sizes = [
        {
            "size": size,
            "kernel_size": kernel.shape[2 + axis],
            "output": walk.shape[1 + axis],
        }
        for axis, size in enumerate(np.shape(example.input)[1:])
    ]
    channels, kernel_size = len(example.input), (kernel.shape[2], kernel.shape[3])
    cost = {
        "parameters": arithmetic.geometry.parameters(channels, example.filters, kernel_size, groups=example.groups),
        "macs": arithmetic.geometry.macs(channels, example.filters, kernel_size, walk.shape[1:], groups=example.groups),
    }
    return {"walk": walk.to_dict(), "sizes": sizes, **cost}


def _kernels(example: Example) -> NDArray[Any]:
    """The planes as `(filters, C / groups, kH, kW)`; how many there must be is for the arithmetic to say."""
    planes = np.asarray(example.kernel)
    per_filter = max(1, len(planes) // example.filters)
    return planes[: per_filter * example.filters].reshape(example.filters, per_filter, *planes.shape[1:])


def _on_picture(asked: OnPicture, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The picture in gray (values 0..1), and what the kernel makes of it."""
    gray = scaled(pixels, LONGEST_PICTURE).mean(axis=2) / 255
    kernel = np.asarray(asked.kernel, dtype=np.float64)
    applied = kernel[::-1, ::-1] if asked.operation == "convolution" else kernel
    result = arithmetic.conv2d(
        gray,
        applied,
        stride=asked.stride,
        padding=asked.padding,
        dilation=asked.dilation,
        padding_mode=asked.padding_mode,
    )
    low, high = _range(kernel, result)
    return {
        "before": _gray_png(gray, 0, 1),
        "after": _gray_png(result, low, high),
        "low": low,
        "high": high,
        "before_size": gray.shape,
        "after_size": result.shape,
    }


def _range(kernel: NDArray[np.float64], result: NDArray[np.float64]) -> tuple[float, float]:
    """What is drawn black and white: all that the kernel can give if it only adds; otherwise 0 is drawn mid-gray."""
    if (kernel >= 0).all() and kernel.sum() > 0:
        return 0.0, float(kernel.sum())
    largest = float(np.abs(result).max()) or 1.0
    return -largest, largest


def _gray_png(plane: NDArray[np.float64], low: float, high: float) -> str:
    levels = np.clip((plane - low) / (high - low), 0, 1) * 255
    return b64encode(png(np.rint(levels).astype(np.uint8)[:, :, np.newaxis])).decode("ascii")
