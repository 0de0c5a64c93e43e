"""An image as a tensor: its numbers, its channels, where they lie in memory, and what normalisation makes of them."""

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from convlens.errors import ConvlensError
from convlens.explorer.session import Session
from convlens.explorer.shelf import png, scaled
from convlens.images import GRAY_WEIGHTS, Preprocessing, as_gray

REACH = 3
"""Cells on each side of the pixel whose numbers are shown."""

COLOURS = ("red", "green", "blue")
"""ITU-R BT.601, section 2.5.1: what Pillow's mode L uses, and so what `channels=1` gives everywhere here."""

# name -> (mean, standard deviation) of each of the channels
_NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}

Normalisation = Literal["imagenet", "half", "none"]
Place = Annotated[int, Field(ge=0, le=4096)]
Image = NDArray[np.uint8]


class Pixel(BaseModel):
    """A place in a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: str
    row: Place = 0
    column: Place = 0
    normalisation: Normalisation = "imagenet"


def routes(session: Session) -> APIRouter:
    """Build the routes under `/api/image`."""
    router = APIRouter()

    @router.get("/image/{picture}")
    def whole(picture: str, normalisation: Normalisation = "imagenet") -> dict[str, Any]:
        shown = session.images.get(picture)
        return _whole(shown.pixels, normalisation) | {"reduced_from": shown.reduced_from}

    @router.get("/image/{picture}/{plane}")
    def plane(picture: str, plane: str, normalisation: Normalisation = "imagenet") -> Response:
        return Response(png(_plane(session.images.get(picture).pixels, plane, normalisation)), media_type="image/png")

    @router.post("/image")
    def pixel(asked: Pixel) -> dict[str, Any]:
        return _pixel(session.images.get(asked.picture).pixels, asked)

    return router


def channels(image: Image) -> tuple[str, ...]:
    """Names of a picture's channels."""
    return COLOURS if image.shape[2] == 3 else ("gray",)


def preprocessing(image: Image, normalisation: str) -> Preprocessing:
    """Normalisation alone: the picture keeps its size."""
    count = image.shape[2]
    mean, std = _NORMALISATIONS[normalisation]
    return Preprocessing(
        size=image.shape[:2], resize=None, crop=None, mean=mean[:count], std=std[:count], channels=count
    )


def gray(image: Image) -> Image:
    """A picture's gray values, `(H, W)`; those of a gray one are its own."""
    return as_gray(image)[:, :, 0]


def _whole(image: Image, normalisation: str) -> dict[str, Any]:
    """Shape, range and mean before and after, and how exactly the way back leads to the same numbers."""
    prepared = preprocessing(image, normalisation)
    values_CHW = prepared.normalize(image)
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "channels": channels(image),
        "mean": prepared.mean,
        "std": prepared.std,
        "before": [_statistics(image[:, :, channel]) for channel in range(image.shape[2])],
        "after": [_statistics(values_CHW[channel]) for channel in range(image.shape[2])],
        "lost": int(np.abs(prepared.undo(values_CHW).astype(int) - image).max()),
    }


def _plane(image: Image, plane: str, normalisation: str) -> Image:
    """One plane as a picture `(H, W, 1)`, or `normalised` as a picture in the channels that there are."""
    small = scaled(image, 480)
    if plane == "gray":
        return gray(small)[:, :, np.newaxis]
    if plane == "normalised":
        values = preprocessing(small, normalisation).normalize(small)
        # one scale for all channels, so that what became of the colours can be seen
        low, high = float(values.min()), float(values.max())
        return np.asarray(np.rint((values - low) / ((high - low) or 1) * 255), np.uint8).transpose(1, 2, 0)
    if plane not in channels(small):
        raise ConvlensError(f"plane={plane!r}: ask for {', '.join(channels(small))}, gray or normalised")
    channel = channels(small).index(plane)
    return small[:, :, channel : channel + 1]


def _pixel(image: Image, asked: Pixel) -> dict[str, Any]:
    height, width, count = image.shape
    row, column = min(asked.row, height - 1), min(asked.column, width - 1)
    first_row = int(np.clip(row - REACH, 0, max(height - 2 * REACH - 1, 0)))
    first_column = int(np.clip(column - REACH, 0, max(width - 2 * REACH - 1, 0)))
    around = image[first_row : first_row + 2 * REACH + 1, first_column : first_column + 2 * REACH + 1]
    prepared = preprocessing(image, asked.normalisation)
    value = image[row : row + 1, column : column + 1]
    normalised = prepared.normalize(value)
    return {
        "row": row,
        "column": column,
        "first": [first_row, first_column],
        "around": [around[:, :, channel].tolist() for channel in range(count)],
        "value": value[0, 0].tolist(),
        "gray": int(gray(value)[0, 0]),
        "weights": GRAY_WEIGHTS if count == 3 else (1.0,),
        "scaled": (value[0, 0] / 255).tolist(),
        "normalised": normalised[:, 0, 0].astype(float).tolist(),
        "restored": prepared.undo(normalised)[0, 0].tolist(),
        "offset_hwc": [(row * width + column) * count + channel for channel in range(count)],
        "offset_chw": [(channel * height + row) * width + column for channel in range(count)],
    }


def _statistics(plane: NDArray[Any]) -> dict[str, float]:
    return {"low": float(plane.min()), "high": float(plane.max()), "mean": float(plane.mean())}
