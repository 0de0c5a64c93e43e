"""Convolution: every window of a small example, and the same kernel on a picture."""

from base64 import b64encode
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from convlens import arithmetic
from convlens.errors import ConvlensError
from convlens.explorer.session import Session
from convlens.explorer.shelf import png, scaled

Number = Annotated[int | float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Line = Annotated[list[Number], Field(min_length=1, max_length=16)]
Plane = Annotated[list[Line], Field(min_length=1, max_length=16)]
Planes = Annotated[list[Plane], Field(min_length=1, max_length=16)]

LONGEST_PICTURE = 360
MOST_CELLS = 1024  # of one output plane; more are too small to read and too many to send

Positive = Annotated[int, Field(ge=1, le=8)]
Cells = Annotated[int, Field(ge=0, le=8)]


class Layer(BaseModel):
    """How a kernel is slid, for both axes or (rows, columns); names and meanings are those of `torch.nn.Conv2d`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Literal["correlation", "convolution", "transposed"] = "correlation"
    stride: Positive | tuple[Positive, Positive] = 1
    padding: Cells | tuple[Cells, Cells] = 0
    dilation: Positive | tuple[Positive, Positive] = 1
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros"
    output_padding: Cells | tuple[Cells, Cells] = 0

    @property
    def slide(self) -> dict[str, Any]:
        """The arguments of the arithmetic; a transposed convolution cuts `padding` off and knows no modes of it."""
        common = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        own = "output_padding" if self.operation == "transposed" else "padding_mode"
        return common | {own: getattr(self, own)}


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
    walk = _walk(example, kernel)
    if walk.shape[1] * walk.shape[2] > MOST_CELLS:
        raise ConvlensError(
            f"an output of {walk.shape[1]}×{walk.shape[2]} is too large to walk through; use a smaller input or stride"
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
    # a transposed convolution puts the kernel down once for each cell of its input
    places = np.shape(example.input)[1:] if example.operation == "transposed" else walk.shape[1:]
    cost = {
        "parameters": arithmetic.geometry.parameters(channels, example.filters, kernel_size, groups=example.groups),
        "macs": arithmetic.geometry.macs(channels, example.filters, kernel_size, places, groups=example.groups),
    }
    return {"walk": walk.to_dict(), "sizes": sizes, **cost}


def _walk(example: Example, kernel: NDArray[Any]) -> arithmetic.Walk:
    biases = [example.bias] * example.filters
    if example.operation != "transposed":
        return arithmetic.steps(
            example.input, kernel, biases, operation=example.operation, groups=example.groups, **example.slide
        )
    filters, channels, *kernel_size = kernel.shape
    grouped = kernel.reshape(example.groups, filters // example.groups, channels, *kernel_size)
    weight = grouped.swapaxes(1, 2).reshape(example.groups * channels, filters // example.groups, *kernel_size)
    return arithmetic.transposed_steps(example.input, weight, biases, groups=example.groups, **example.slide)


def _kernels(example: Example) -> NDArray[Any]:
    """The planes as `(filters, C / groups, kH, kW)`; how many there must be is for the arithmetic to say."""
    planes = np.asarray(example.kernel)
    per_filter = max(1, len(planes) // example.filters)
    return planes[: per_filter * example.filters].reshape(example.filters, per_filter, *planes.shape[1:])


def _on_picture(asked: OnPicture, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """The picture in gray (values 0..1), and what the kernel makes of it."""
    kernel = np.asarray(asked.kernel, dtype=np.float64)
    if asked.operation == "transposed":  # which enlarges
        gray = scaled(pixels, LONGEST_PICTURE // int(np.max(asked.stride))).mean(axis=2) / 255
        result = arithmetic.conv_transpose2d(gray, kernel, **asked.slide)
    else:
        gray = scaled(pixels, LONGEST_PICTURE).mean(axis=2) / 255
        applied = kernel[::-1, ::-1] if asked.operation == "convolution" else kernel
        result = arithmetic.conv2d(gray, applied, **asked.slide)
    low, high = _range(kernel, result, transposed=asked.operation == "transposed")
    return {
        "before": _gray_png(gray, 0, 1),
        "after": _gray_png(result, low, high),
        "low": low,
        "high": high,
        "before_size": gray.shape,
        "after_size": result.shape,
    }


def _range(kernel: NDArray[np.float64], result: NDArray[np.float64], *, transposed: bool) -> tuple[float, float]:
    """What is drawn black and white: all that the kernel can give if it only adds; otherwise 0 is drawn mid-gray.

    Where stamps lie apart, as in a transposed convolution, they give less than the kernel's sum: then the largest.
    """
    if (kernel >= 0).all() and kernel.sum() > 0:
        return 0.0, float(result.max() if transposed else kernel.sum()) or 1.0
    largest = float(np.abs(result).max()) or 1.0
    return -largest, largest


def _gray_png(plane: NDArray[np.float64], low: float, high: float) -> str:
    levels = np.clip((plane - low) / (high - low), 0, 1) * 255
    return b64encode(png(np.rint(levels).astype(np.uint8)[:, :, np.newaxis])).decode("ascii")
