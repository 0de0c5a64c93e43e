"""Pooling: maximum and mean of every window, and what is left of both when the picture moves."""

from base64 import b64encode
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from convlens import arithmetic
from convlens.arithmetic.stepping import POOLINGS
from convlens.explorer.api.convolution import Plane
from convlens.explorer.session import Session
from convlens.explorer.shelf import png, scaled

LONGEST_PICTURE = 160
MOST_SHIFT = 8


class Pooling(BaseModel):
    """How the window is laid; the names and meanings are those of `torch.nn.AvgPool2d`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = Field(2, ge=1, le=8)
    stride: int = Field(2, ge=1, le=8)
    padding: int = Field(0, ge=0, le=4)
    ceil_mode: bool = False
    count_include_pad: bool = True


class Example(Pooling):
    """A pooling in numbers."""

    input: Plane


class Moved(Pooling):
    """A pooling of a picture, and of the same picture moved by a few pixels."""

    picture: str
    down: int = Field(0, ge=-MOST_SHIFT, le=MOST_SHIFT)
    right: int = Field(1, ge=-MOST_SHIFT, le=MOST_SHIFT)


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/pooling`."""
    router = APIRouter()

    @router.post("/pooling")
    def windows(example: Example) -> dict[str, Any]:
        return {
            operation: arithmetic.pool_steps(
                example.input,
                example.window,
                operation=operation,
                stride=example.stride,
                padding=example.padding,
                ceil_mode=example.ceil_mode,
                count_include_pad=example.count_include_pad,
            ).to_dict()
            for operation in POOLINGS
        }

    @router.post("/pooling/picture")
    def picture(asked: Moved) -> list[dict[str, Any]]:
        return _compared(asked, session.images.get(asked.picture).pixels)

    return router


def _compared(asked: Moved, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """The gray picture, its maxima and its means, each beside the same for the moved picture."""
    gray = scaled(pixels, LONGEST_PICTURE).mean(axis=2)
    moved = shifted(gray, asked.down, asked.right)
    rows = []
    for name in ("picture", *POOLINGS):
        before, after = (_pooled(name, image, asked) for image in (gray, moved))
        rows.append(
            {
                "name": name,
                "size": before.shape,
                "before": _png(before),
                "after": _png(after),
                "difference": _png(255 - np.abs(after - before)),
                "change": float(np.abs(after - before).mean() / 255),
                "same": float((np.abs(after - before) < 1).mean()),
            }
        )
    return rows


def shifted(image: NDArray[np.float64], down: int, right: int) -> NDArray[np.float64]:
    """Move `(H, W)` by whole pixels; the border is repeated where nothing comes in.

    >>> shifted(np.array([[1.0, 2.0, 3.0]]), 0, 1).tolist()
    [[1.0, 1.0, 2.0]]
    """
    height, width = image.shape
    sides = ((max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0)))
    padded = arithmetic.pad(image, sides, padding_mode="replicate")
    top, left = sides[0][1], sides[1][1]
    return padded[top : top + height, left : left + width]


def _pooled(name: str, image: NDArray[np.float64], asked: Pooling) -> NDArray[np.float64]:
    if name == "picture":
        return image
    if name == "max":
        return arithmetic.max_pool2d(
            image, asked.window, stride=asked.stride, padding=asked.padding, ceil_mode=asked.ceil_mode
        )
    return arithmetic.avg_pool2d(
        image,
        asked.window,
        stride=asked.stride,
        padding=asked.padding,
        ceil_mode=asked.ceil_mode,
        count_include_pad=asked.count_include_pad,
    )


def _png(plane: NDArray[np.float64]) -> str:
    return b64encode(png(np.rint(plane).astype(np.uint8)[:, :, np.newaxis])).decode("ascii")
